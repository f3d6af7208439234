import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Runs a host command to its end. With `input` on its stdin; without, nothing of its streams is kept, so that it may
 * leave a daemon behind.
 * @throws Error naming the command that failed.
 */
export async function run(
  command: readonly string[],
  options: { input?: string; signal?: AbortSignal } = {},
) {
  const [file = '', ...args] = command;
  const { input, signal } = options;
  const child = spawn(file, args, {
    stdio: input === undefined ? 'ignore' : ['pipe', 'ignore', 'inherit'],
    ...(signal && { signal }),
  });
  child.stdin?.end(input);
  const [code, by] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${command.slice(0, 4).join(' ')} … ended with ${code ?? by}`);
}
