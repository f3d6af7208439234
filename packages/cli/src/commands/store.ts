import { collectGarbage, LEAST_GRACE_MS } from '@islet/snapshots';
import { type CommandGroup, defineCommand } from '../command-line/command.ts';
import { JSON_FLAG } from '../command-line/flags.ts';
import { OptionError } from '../options/spec.ts';
import { openStore } from '../store/open.ts';
import { readStore, STORE_OPTIONS } from '../store/settings.ts';
import type { CommandIo } from './io.ts';

const HOUR_MS = 3_600_000;

/** What may have no owner yet. */
const GRACE_MS = Math.max(24 * HOUR_MS, LEAST_GRACE_MS);

/** `islet store …`. */
export function storeCommand(io: CommandIo): CommandGroup {
  const gc = defineCommand(io, {
    summary:
      'Remove what no build and no paused sandbox needs any more and is older than a day; on any machine',
    flags: {
      'dry-run': { kind: 'switch', description: 'Only tell what would be removed' },
      json: JSON_FLAG,
    },
    options: STORE_OPTIONS,
    async run({ flags, sources }) {
      const settings = readStore(sources);
      if (!settings) throw new OptionError('--store (or ISLET_STORE) is needed');
      const store = await openStore(settings);
      const dryRun = flags['dry-run'];
      const collected = await collectGarbage(store, { graceMs: GRACE_MS, dryRun });
      if (flags.json) return io.print(JSON.stringify(collected));
      const { objects, bytes, removedObjects, removedBytes } = collected;
      io.print(
        `${objects} objects, ${mib(bytes)}: ${dryRun ? 'would remove' : 'removed'} ${removedObjects}, ${mib(removedBytes)}.`,
      );
    },
  });
  return { summary: 'Look after the store that nodes share', commands: { gc } };
}

function mib(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
