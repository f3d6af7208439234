import { defineCommand } from 'citty';
import { optionArgs, refuseUnknownFlags } from '../options/args.ts';
import type { OptionName } from '../options/options.ts';
import { OptionError } from '../options/spec.ts';
import { createJsonReporter } from '../output/json-reporter.ts';
import { createTextReporter } from '../output/text-reporter.ts';
import { buildTemplate, TemplateBuildFailed } from '../templates/build.ts';
import { findApi } from '../templates/connection.ts';
import { findDockerfile } from '../templates/dockerfile.ts';
import type { CommandIo } from './io.ts';

const WHERE: OptionName[] = ['apiUrl', 'apiKey', 'dataDir'];

/** `islet template …`. */
export function templateCommand(io: CommandIo) {
  const args = {
    path: {
      type: 'positional',
      description:
        'A Dockerfile, or a folder with one (e2b.Dockerfile or Dockerfile); COPY reads from its folder',
      required: true,
    },
    name: {
      type: 'string',
      valueHint: 'name',
      description: 'What sandboxes are created by: alias or alias:tag',
      required: true,
    },
    tags: { type: 'string', valueHint: 'a,b', description: 'Further tags of this build' },
    cmd: { type: 'string', valueHint: 'command', description: 'Start command, in place of the CMD' },
    'ready-cmd': {
      type: 'string',
      valueHint: 'command',
      description: 'Ends with 0 once sandboxes may start from here',
    },
    'cpu-count': { type: 'string', valueHint: 'n', description: 'CPUs of its sandboxes (default 2)' },
    'memory-mb': { type: 'string', valueHint: 'MiB', description: 'Memory of its sandboxes (default 1024)' },
    'min-free-disk-mb': { type: 'string', valueHint: 'MiB', description: 'Free disk after the last step' },
    'skip-cache': { type: 'boolean', description: 'Run every step again, and pull the image again' },
    json: { type: 'boolean', description: 'Print one JSON object a line' },
    ...optionArgs(WHERE),
  } as const;

  const build = defineCommand({
    meta: {
      name: 'build',
      description: 'Build a template from a Dockerfile on a running Islet; needs no Docker and no SDK',
    },
    args,
    async run({ args: given, rawArgs }) {
      const reporter = given.json
        ? createJsonReporter((text) => io.stdout.write(text), Date.now)
        : createTextReporter(io.stdout, Date.now);
      try {
        refuseUnknownFlags(rawArgs, args);
        const options = {
          name: given.name,
          tags: given.tags?.split(',').map((tag) => tag.trim()) ?? [],
          context: await findDockerfile(given.path),
          startCommand: given.cmd,
          readyCommand: given['ready-cmd'],
          cpuCount: readCount('cpu-count', given['cpu-count']),
          memoryMb: readCount('memory-mb', given['memory-mb']),
          freeDiskMb: readCount('min-free-disk-mb', given['min-free-disk-mb']),
          skipCache: given['skip-cache'] ?? false,
          signal: io.interrupted,
        };
        const api = await findApi({ flags: given, env: io.env });
        const step = reporter.step('build', `Building ${options.name}`);
        const { templateId, buildId, tags } = await buildTemplate(api, options, step);
        step.done(`${options.name} is built`);
        if (given.json) {
          io.print(JSON.stringify({ event: 'built', name: options.name, templateId, buildId, tags }));
        } else {
          io.print(`  template ${templateId}, build ${buildId}, tags ${tags.join(', ')}`);
        }
      } catch (error) {
        if (error instanceof TemplateBuildFailed && io.stdout.isTTY && !given.json) {
          // One line stood for all of it until now.
          io.print(['', ...error.tail.map((line) => `  ${line}`)].join('\n'));
        }
        reporter.error(error);
        io.setExitCode(1);
      }
    },
  });

  return defineCommand({
    meta: { name: 'template', description: 'Build a template' },
    subCommands: { build },
  });
}

function readCount(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw new OptionError(`--${name} takes a whole number, not "${text}"`);
  return Number(text);
}
