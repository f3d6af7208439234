import { defineCommand } from 'citty';
import type { SnapshotView } from '../control/administration.ts';
import { optionArgs, refuseUnknownFlags } from '../options/args.ts';
import type { OptionName } from '../options/options.ts';
import type { CommandIo } from './io.ts';
import { withInstallation } from './keys.ts';
import { table } from './table.ts';

const WHERE: OptionName[] = ['dataDir', 'databaseUrl'];
const JSON_ARG = { type: 'boolean', description: 'Print JSON' } as const;

/** `islet snapshots …`. */
export function snapshotsCommand(io: CommandIo) {
  const listArgs = { json: JSON_ARG, ...optionArgs(WHERE) } as const;
  const list = defineCommand({
    meta: { name: 'list', description: 'List the snapshots on this machine with their sizes, newest first' },
    args: listArgs,
    async run({ args, rawArgs }) {
      refuseUnknownFlags(rawArgs, listArgs);
      const snapshots = await withInstallation(io, args, (admin) => admin.listSnapshots({}));
      if (args.json) return io.print(JSON.stringify(snapshots));
      io.print(snapshots.length === 0 ? 'There are no snapshots.' : snapshotTable(snapshots));
    },
  });

  const gcArgs = {
    'dry-run': { type: 'boolean', description: 'Only show what would be removed' },
    json: JSON_ARG,
    ...optionArgs(WHERE),
  } as const;
  const gc = defineCommand({
    meta: { name: 'gc', description: 'Remove snapshots whose template was deleted' },
    args: gcArgs,
    async run({ args, rawArgs }) {
      refuseUnknownFlags(rawArgs, gcArgs);
      const dryRun = args['dry-run'] ?? false;
      const unused = await withInstallation(io, args, async (admin) =>
        dryRun ? (await admin.listSnapshots({})).filter(({ inUse }) => !inUse) : admin.collectSnapshots({}),
      );
      if (args.json) return io.print(JSON.stringify(unused));
      if (unused.length === 0) return io.print('Nothing to remove: every snapshot belongs to a template.');
      const total = mib(unused.reduce((sum, { bytes }) => sum + bytes, 0));
      io.print(`${snapshotTable(unused)}\n\n${dryRun ? 'Would free' : 'Freed'} ${total}.`);
    },
  });

  return defineCommand({
    meta: { name: 'snapshots', description: 'List snapshots and remove those that nothing uses' },
    subCommands: { list, gc },
  });
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
