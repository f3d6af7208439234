import { type Command, defineCommand } from '../command-line/command.ts';
import { INSTALL_FLAG, JSON_LINES_FLAG } from '../command-line/flags.ts';
import type { OptionName } from '../options/options.ts';
import type { OptionSources } from '../options/spec.ts';
import { createJsonReporter } from '../output/json-reporter.ts';
import type { Reporter } from '../output/reporter.ts';
import { createTextReporter } from '../output/text-reporter.ts';
import type { ProcessOptions } from '../roles/processes/process.ts';
import type { CommandIo } from './io.ts';

/** A command that serves in the foreground until it is interrupted. */
export interface ServeCommand<Config> {
  summary: string;
  options: readonly OptionName[];
  read: (sources: OptionSources) => Config;
  run: (options: ProcessOptions<Config>) => Promise<void>;
}

export function serveCommand<Config>(io: CommandIo, command: ServeCommand<Config>): Command {
  const { summary, options, read, run } = command;
  return defineCommand(io, {
    summary,
    flags: { json: JSON_LINES_FLAG, install: INSTALL_FLAG },
    options,
    async run({ flags, sources }) {
      const reporter = reporterOf(io, flags.json);
      await run({
        config: read(sources),
        layout: io.layout(),
        version: io.version,
        reporter,
        signal: io.interrupted,
        clock: Date.now,
      });
      reporter.stopped();
    },
    printFailure: (error, flags) => reporterOf(io, flags.json ?? false).error(error),
  });
}

/** Tells people at a terminal or in a log, or a program. */
export function reporterOf(io: CommandIo, isJson: boolean): Reporter {
  if (isJson) return createJsonReporter((text) => io.stdout.write(text), Date.now);
  return createTextReporter(io.stdout, Date.now, {
    read: io.env.SUDO_USER ? 'sudo cat' : 'cat',
    // systemd says with this variable that what is printed goes to the journal; a desktop's terminals have it, too.
    spellOnce: io.stdout.isTTY || io.env.JOURNAL_STREAM === undefined,
  });
}
