import { type CommandGroup, defineCommand } from '../command-line/command.ts';
import { JSON_FLAG } from '../command-line/flags.ts';
import type { SnapshotView } from '../control/administration.ts';
import { INSTALLATION_OPTIONS, withInstallation } from './installation.ts';
import type { CommandIo } from './io.ts';
import { table } from './table.ts';

/** `islet snapshots …`. */
export function snapshotsCommand(io: CommandIo): CommandGroup {
  const list = defineCommand(io, {
    summary: 'List the snapshots on this machine with their sizes, newest first',
    flags: { json: JSON_FLAG },
    options: INSTALLATION_OPTIONS,
    async run({ flags, sources }) {
      const snapshots = await withInstallation(io, sources, (admin) => admin.listSnapshots({}));
      if (flags.json) return io.print(JSON.stringify(snapshots));
      io.print(snapshots.length === 0 ? 'There are no snapshots.' : snapshotTable(snapshots));
    },
  });

  const gc = defineCommand(io, {
    summary: 'Remove snapshots whose template was deleted',
    flags: {
      'dry-run': { kind: 'switch', description: 'Only show what would be removed' },
      json: JSON_FLAG,
    },
    options: INSTALLATION_OPTIONS,
    async run({ flags, sources }) {
      const dryRun = flags['dry-run'];
      const unused = await withInstallation(io, sources, async (admin) =>
        dryRun ? (await admin.listSnapshots({})).filter(({ inUse }) => !inUse) : admin.collectSnapshots({}),
      );
      if (flags.json) return io.print(JSON.stringify(unused));
      if (unused.length === 0) return io.print('Nothing to remove: every snapshot belongs to a template.');
      const total = mib(unused.reduce((sum, { bytes }) => sum + bytes, 0));
      io.print(`${snapshotTable(unused)}\n\n${dryRun ? 'Would free' : 'Freed'} ${total}.`);
    },
  });

  return { summary: 'List snapshots and remove those that nothing uses', commands: { list, gc } };
}

function snapshotTable(snapshots: SnapshotView[]): string {
  return table(
    ['BUILD', 'TEMPLATE', 'PARENT BUILD', 'SIZE', 'CREATED', 'IN USE'],
    snapshots.map(({ buildId, templateId, parentBuildId, bytes, createdAt, inUse }) => [
      buildId,
      templateId,
      parentBuildId ?? '-',
      mib(bytes),
      createdAt,
      inUse ? 'yes' : 'no',
    ]),
  );
}

function mib(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
