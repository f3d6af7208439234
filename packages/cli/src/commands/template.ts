import { type CommandGroup, defineCommand } from '../command-line/command.ts';
import { JSON_LINES_FLAG } from '../command-line/flags.ts';
import { openRunning } from '../control/open.ts';
import { OPTIONS } from '../options/options.ts';
import { OptionError, requireOption } from '../options/spec.ts';
import { createJsonReporter } from '../output/json-reporter.ts';
import { createTextReporter } from '../output/text-reporter.ts';
import { buildTemplate, TemplateBuildFailed } from '../templates/build.ts';
import { buildShipped } from '../templates/build-shipped.ts';
import { CONNECTION_OPTIONS, findApi } from '../templates/connection.ts';
import { findDockerfile } from '../templates/dockerfile.ts';
import type { CommandIo } from './io.ts';

/** `islet template …`. */
export function templateCommand(io: CommandIo): CommandGroup {
  const reporterOf = (asJson: boolean) =>
    asJson
      ? createJsonReporter((text) => io.stdout.write(text), Date.now)
      : createTextReporter(io.stdout, Date.now);

  const build = defineCommand(io, {
    summary:
      'Build a template on a running Islet, of a Dockerfile (needs no Docker and no SDK) or one that comes with Islet',
    words: {
      path: 'With --name a Dockerfile, or a folder with one (e2b.Dockerfile or Dockerfile), from which COPY reads; without it a template of Islet: code-interpreter, desktop',
    },
    flags: {
      name: {
        kind: 'text',
        hint: 'name',
        description: 'What sandboxes are created by: alias or alias:tag',
      },
      tags: { kind: 'list', hint: 'a,b', description: 'Further tags of this build' },
      cmd: { kind: 'text', hint: 'command', description: 'Start command, in place of the CMD' },
      'ready-cmd': {
        kind: 'text',
        hint: 'command',
        description: 'Ends with 0 once sandboxes may start from here',
      },
      'cpu-count': { kind: 'text', hint: 'n', description: 'CPUs of its sandboxes (default 2)' },
      'memory-mb': { kind: 'text', hint: 'MiB', description: 'Memory of its sandboxes (default 1024)' },
      'min-free-disk-mb': { kind: 'text', hint: 'MiB', description: 'Free disk after the last step' },
      'skip-cache': { kind: 'switch', description: 'Run every step again, and pull the image again' },
      json: JSON_LINES_FLAG,
    },
    options: CONNECTION_OPTIONS,
    async run({ words, flags, sources }) {
      const reporter = reporterOf(flags.json);
      if (flags.name === undefined) {
        const step = reporter.step('build', `Building ${words.path}`);
        const administration = await openRunning(requireOption(OPTIONS.dataDir, sources));
        const { name, templateId, buildId } = await buildShipped(
          administration,
          words.path,
          step,
          io.interrupted,
        );
        step.done(`${name} is built`);
        if (flags.json)
          io.print(JSON.stringify({ event: 'built', name, templateId, buildId, tags: ['default'] }));
        else io.print(`  template ${templateId}, build ${buildId}`);
        return;
      }
      const options = {
        name: flags.name,
        tags: flags.tags,
        context: await findDockerfile(words.path),
        startCommand: flags.cmd,
        readyCommand: flags['ready-cmd'],
        cpuCount: readCount('cpu-count', flags['cpu-count']),
        memoryMb: readCount('memory-mb', flags['memory-mb']),
        freeDiskMb: readCount('min-free-disk-mb', flags['min-free-disk-mb']),
        skipCache: flags['skip-cache'],
        signal: io.interrupted,
      };
      const api = await findApi(sources);
      const step = reporter.step('build', `Building ${options.name}`);
      const { templateId, buildId, tags } = await buildTemplate(api, options, step);
      step.done(`${options.name} is built`);
      if (flags.json) {
        io.print(JSON.stringify({ event: 'built', name: options.name, templateId, buildId, tags }));
      } else {
        io.print(`  template ${templateId}, build ${buildId}, tags ${tags.join(', ')}`);
      }
    },
    printFailure(error, { json = false }) {
      if (error instanceof TemplateBuildFailed && io.stdout.isTTY && !json) {
        // One line stood for all of it until now.
        io.print(['', ...error.tail.map((line) => `  ${line}`)].join('\n'));
      }
      reporterOf(json).error(error);
    },
  });

  return { summary: 'Build a template', commands: { build } };
}

function readCount(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw new OptionError(`--${name} takes a whole number, not "${text}"`);
  return Number(text);
}
