import { setTimeout as sleep } from 'node:timers/promises';
import { Deadline } from '@islet/contracts';
import type { CommandRunner } from '@islet/orchestrator';
import { BuildError } from '../builds/build-error.ts';
import { outputLines } from '../host/output-lines.ts';
import { type BuildContext, commandEnv, STANDARD_PATH } from '../steps/context.ts';
import type { Report } from './reporter.ts';

const PHASE = 'finalize';
const READY_LIMIT_MS = 10 * 60 * 1000;
/** Between two tries of a ready command: what serves soon is noticed soon, and what takes long is asked every two seconds. */
const BETWEEN_TRIES_MS = { first: 100, longest: 2000 };
/** How long a template with a start command, but none that tells when it is ready, is given. */
const DEFAULT_READY_COMMAND = 'sleep 20';

/** Stand-ins for the programs that the SDK's ready commands call, for images that have none. */
const READY_TOOLS = '/opt/islet/ready';

export interface StartUp {
  startCommand: string | undefined;
  readyCommand: string | undefined;
  context: BuildContext;
}

/** A command as the template's user would type it. */
export function shellCommand(command: string, context: BuildContext) {
  return {
    program: '/bin/bash',
    args: ['-l', '-c', command],
    user: context.user,
    env: commandEnv(context),
    ...(context.workdir === undefined ? {} : { cwd: context.workdir }),
  };
}

/**
 * Starts the template's start command and waits until its ready command says that it serves. The start command goes on running.
 * @throws BuildError if the start command fails before, or the time is over.
 */
export async function startUp(
  runner: CommandRunner,
  { startCommand, readyCommand, context }: StartUp,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController();
  using limit = new Deadline(READY_LIMIT_MS, signal);
  const stopped = AbortSignal.any([limit.signal, over.signal]);
  const env = commandEnv(context);
  const readyEnv = { ...env, PATH: `${env.PATH ?? STANDARD_PATH}:${READY_TOOLS}` };
  const shell = (
    command: string,
    env: Record<string, string>,
    onLine: (stream: 'stdout' | 'stderr', line: string) => void,
  ) => {
    const lines = {
      stdout: outputLines((line) => onLine('stdout', line)),
      stderr: outputLines((line) => onLine('stderr', line)),
    };
    return runner
      .run(
        {
          ...shellCommand(command, context),
          env,
          onOutput: (stream, bytes) => lines[stream].push(bytes),
        },
        stopped,
      )
      .finally(() => {
        lines.stdout.end();
        lines.stderr.end();
      });
  };

  let starting: Promise<void> | undefined;
  if (startCommand !== undefined) {
    report('info', PHASE, `Running start command: ${startCommand}`);
    starting = shell(startCommand, env, (stream, line) => {
      report(stream === 'stdout' ? 'info' : 'warn', PHASE, `[start] [${stream}]: ${line}`);
    }).then((end) => {
      if (end.exitCode !== 0) throw new BuildError(PHASE, `start command failed: ${end.status}`);
    });
  }
  const ready = readyCommand ?? (startCommand === undefined ? undefined : DEFAULT_READY_COMMAND);
  try {
    // A start command that ends well only stops being watched.
    const failure = starting?.then(() => new Promise<never>(() => {}));
    if (ready !== undefined) {
      report('info', PHASE, `Waiting for template to be ready: ${ready}`);
      const waiting = untilReady(() =>
        shell(ready, readyEnv, (stream, line) => report('debug', PHASE, `[ready] [${stream}]: ${line}`)),
      );
      await (failure ? Promise.race([waiting, failure]) : waiting);
    }
    report('info', PHASE, 'Template is ready');
  } catch (error) {
    if (error instanceof BuildError || signal.aborted || !stopped.aborted) throw error;
    throw new BuildError(PHASE, 'ready command timed out after 10 minutes', { cause: error });
  } finally {
    over.abort(new Error('the template is started'));
    await starting?.catch(() => {});
  }

  async function untilReady(attempt: () => Promise<{ exitCode: number }>): Promise<void> {
    for (let pause = BETWEEN_TRIES_MS.first; (await attempt()).exitCode !== 0; pause *= 2) {
      await sleep(Math.min(pause, BETWEEN_TRIES_MS.longest), undefined, { signal: stopped });
    }
  }
}
