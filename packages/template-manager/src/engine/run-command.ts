import { ConnectError } from '@connectrpc/connect';
import { codeToString } from '@connectrpc/connect/protocol-connect';
import { Deadline } from '@islet/contracts';
import { type CommandRunner, OutOfMemoryError } from '@islet/orchestrator';
import { BuildError } from '../builds/build-error.ts';
import { outputLines } from '../host/output-lines.ts';
import { type BuildContext, commandEnv } from '../steps/context.ts';
import type { Report } from './reporter.ts';

/** Longest time of one step, and of all. */
export const STEP_LIMIT_MS = 60 * 60 * 1000;

export interface ShellCommand {
  command: string;
  phase: string;
  /** What stands before the output in the log, such as `[builder 1/2]`. */
  prefix: string;
  context: BuildContext;
}

/**
 * Runs a shell command as its context says, its output going to the log.
 * @throws BuildError if it fails: with the exit status, or what kept it from running.
 */
export async function runShell(
  runner: CommandRunner,
  { command, phase, prefix, context }: ShellCommand,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  const stdout = outputLines((line) => report('info', phase, `${prefix} [stdout]: ${line}`));
  const stderr = outputLines((line) => report('warn', phase, `${prefix} [stderr]: ${line}`));
  using limit = new Deadline(STEP_LIMIT_MS, signal);
  try {
    const end = await runner.run(
      {
        program: '/bin/bash',
        args: ['-l', '-c', command],
        user: context.user,
        env: commandEnv(context),
        ...(context.workdir === undefined ? {} : { cwd: context.workdir }),
        onOutput: (stream, bytes) => (stream === 'stdout' ? stdout : stderr).push(bytes),
      },
      limit.signal,
    );
    if (end.exitCode !== 0) {
      throw new BuildError(phase, `failed to run command '${command}': ${end.status}`);
    }
  } catch (error) {
    if (signal.aborted || error instanceof BuildError) throw error;
    if (limit.passed) {
      throw new BuildError(phase, `failed to run command '${command}': it took longer than an hour`);
    }
    throw new BuildError(phase, `failed to run command '${command}': ${reasonOf(error)}`, { cause: error });
  } finally {
    stdout.end();
    stderr.end();
  }
}

/** What may be told of an error: envd's own words about users and directories, not those of the connection to it. */
function reasonOf(error: unknown): string {
  if (error instanceof OutOfMemoryError) return error.message;
  if (error instanceof ConnectError && error.cause === undefined) {
    return `command failed: ${codeToString(error.code)}: ${error.rawMessage}`;
  }
  return 'its sandbox ended';
}
