import { type CommandGroup, defineCommand } from '../command-line/command.ts';
import { JSON_FLAG } from '../command-line/flags.ts';
import { openRunning } from '../control/open.ts';
import { OPTIONS } from '../options/options.ts';
import { requireOption } from '../options/spec.ts';
import type { CommandIo } from './io.ts';

/** `islet secrets …`. */
export function secretsCommand(io: CommandIo): CommandGroup {
  const rotateKey = defineCommand(io, {
    summary: 'Encrypt all secrets under the next master key; Islet runs on meanwhile',
    flags: {
      prepare: {
        kind: 'switch',
        description: 'Only make the next key: if several APIs have files of their own, copy it to them first',
      },
      forget: {
        kind: 'switch',
        description: 'Remove the old keys from the file afterwards: older copies of the database need them',
      },
      json: JSON_FLAG,
    },
    options: ['dataDir'],
    async run({ flags: { prepare, forget, json }, sources }) {
      const admin = await openRunning(requireOption(OPTIONS.dataDir, sources));
      const done = await admin.rotateMasterKey({ prepare, forget });
      if (json) return io.print(JSON.stringify(done));
      if (prepare) {
        io.print(`The next master key, ${done.nextKeyId}, is in ${done.file}.`);
        io.print(
          'If other APIs have copies of this file, replace those. Then run `islet secrets rotate-key`.',
        );
        return;
      }
      io.print(`${done.resealed} secrets and keys were encrypted anew, under the master key ${done.keyId}.`);
      io.print(
        done.forgotten > 0
          ? `The ${done.forgotten} before it are removed from ${done.file}.`
          : `The keys before it are still in ${done.file}: older copies of the database need them.`,
      );
    },
  });

  return {
    summary: 'Care for the keys that secrets are encrypted under',
    commands: { 'rotate-key': rotateKey },
  };
}
