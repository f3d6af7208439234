import { type ArgsDef, type CommandDef, defineCommand } from 'citty';
import { optionArgs, optionFlags, refuseUnknownFlags } from '../options/args.ts';
import type { OptionName } from '../options/options.ts';
import type { OptionSources } from '../options/spec.ts';
import { createJsonReporter } from '../output/json-reporter.ts';
import type { Reporter } from '../output/reporter.ts';
import { createTextReporter } from '../output/text-reporter.ts';
import type { ProcessOptions } from '../roles/processes/process.ts';
import type { CommandIo } from './io.ts';

/** A command that serves in the foreground until it is interrupted. */
export interface ServeCommand<Config> {
  name: string;
  description: string;
  options: readonly OptionName[];
  read: (sources: OptionSources) => Config;
  run: (options: ProcessOptions<Config>) => Promise<void>;
}

export function serveCommand<Config>(io: CommandIo, command: ServeCommand<Config>): CommandDef<ArgsDef> {
  const { name, description, options, read, run } = command;
  const args: ArgsDef = {
    ...optionArgs(options),
    json: { type: 'boolean', description: 'Print one JSON object a line' },
    // citty takes `--no-x` for `x` set to false; the launcher has acted on it by the time this runs.
    install: {
      type: 'boolean',
      default: true,
      negativeDescription: 'Only report missing system packages',
    },
  };
  return defineCommand({
    meta: { name, description },
    args,
    async run(context) {
      const reporter = reporterOf(io, Boolean(context.args.json));
      try {
        refuseUnknownFlags(context.rawArgs, args);
        await run({
          config: read({ flags: optionFlags(options, context), env: io.env }),
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

function reporterOf(io: CommandIo, isJson: boolean): Reporter {
  if (isJson) return createJsonReporter((text) => io.stdout.write(text), Date.now);
  return createTextReporter(io.stdout, Date.now, {
    read: io.env.SUDO_USER ? 'sudo cat' : 'cat',
    // systemd says with this variable that what is printed goes to the journal; a desktop's terminals have it, too.
    spellOnce: io.stdout.isTTY || io.env.JOURNAL_STREAM === undefined,
  });
}
