import { spawn } from 'node:child_process';
import { outputLines } from './output-lines.ts';

/** A command of a build that did not end well; the message ends with its last lines. */
export class BuildCommandError extends Error {
  override readonly name = 'BuildCommandError';
}

export interface RunBuildCommand {
  command: string[];
  onLine: (line: string) => void;
  signal: AbortSignal;
}

/**
 * What a command starts with that ends with this process, and everything that it starts and mounts with it: in mount and pid
 * namespaces of its own.
 */
export const CONFINED = [
  ...['setpriv', '--pdeathsig', 'KILL'],
  ...['unshare', '--mount', '--pid', '--fork', '--kill-child=KILL', '--mount-proc'],
];

const KEPT_LINES = 15;

/**
 * Runs a command in a process group of its own, and ends the whole group when `signal` aborts. Returns only when the
 * command is gone.
 * @throws BuildCommandError if it exits with anything but 0, and the signal's reason if it was aborted.
 */
export async function runBuildCommand({ command, onLine, signal }: RunBuildCommand): Promise<void> {
  signal.throwIfAborted();
  const [program, ...args] = command;
  if (!program) throw new TypeError('a command needs a program');
  const child = spawn(program, args, {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    // Messages are parsed; debconf must not ask.
    env: { ...process.env, LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive' },
  });
  const lines: string[] = [];
  const take = (line: string) => {
    lines.push(line);
    if (lines.length > KEPT_LINES) lines.shift();
    onLine(line);
  };
  const killGroup = () => {
    if (child.pid !== undefined) killQuietly(-child.pid);
  };
  signal.addEventListener('abort', killGroup, { once: true });
  try {
    for (const output of [child.stdout, child.stderr]) {
      const { push, end } = outputLines(take);
      output.on('data', push).once('end', end);
    }
    const status = await new Promise<string | undefined>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, killedBy) => resolve(code === 0 ? undefined : (killedBy ?? String(code))));
    });
    signal.throwIfAborted();
    if (status !== undefined) throw new BuildCommandError(failureText(command, status, lines));
  } finally {
    signal.removeEventListener('abort', killGroup);
  }
}

/** mmdebstrap starts its own complaints with `E:`; they say more than the last lines of dpkg. */
function failureText(command: string[], status: string, lines: string[]): string {
  const program = command.find((word) => word === 'mmdebstrap') ?? command[0];
  const complaints = lines.filter((line) => /^(?:E|Err|W):/.test(line));
  const shown = complaints.length > 0 ? complaints : lines;
  return `${program} ended with ${status}:\n${shown.join('\n')}`;
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
