import { defineCommand } from 'citty';
import { optionArgs, optionFlags, refuseUnknownFlags } from '../options/args.ts';
import { createJsonReporter } from '../output/json-reporter.ts';
import { createTextReporter } from '../output/text-reporter.ts';
import { readUpConfig, UP_OPTIONS } from '../up/config.ts';
import { up } from '../up/up.ts';
import type { CommandIo } from './io.ts';

/** `islet up`. */
export function upCommand(io: CommandIo) {
  const args = {
    ...optionArgs(UP_OPTIONS),
    json: { type: 'boolean', description: 'Print one JSON object a line' },
    // citty takes `--no-x` for `x` set to false; the launcher has acted on it by the time this runs.
    install: {
      type: 'boolean',
      default: true,
      negativeDescription: 'Only report missing system packages',
    },
  } as const;
  return defineCommand({
    meta: { name: 'up', description: 'Start everything on this machine, in the foreground' },
    args,
    async run(context) {
      const reporter = context.args.json
        ? createJsonReporter((text) => io.stdout.write(text), Date.now)
        : createTextReporter(io.stdout, Date.now, {
            read: io.env.SUDO_USER ? 'sudo cat' : 'cat',
            // systemd says with this variable that what is printed goes to the journal; a desktop's terminals have it, too.
            spellOnce: io.stdout.isTTY || io.env.JOURNAL_STREAM === undefined,
          });
      try {
        refuseUnknownFlags(context.rawArgs, args);
        await up({
          config: readUpConfig({ flags: optionFlags(UP_OPTIONS, context), env: io.env }),
          layout: io.layout(),
          version: io.version,
          reporter,
          signal: io.interrupted,
          clock: Date.now,
        });
        reporter.stopped();
      } catch (error) {
        reporter.error(error);
        io.setExitCode(1);
      }
    },
  });
}
