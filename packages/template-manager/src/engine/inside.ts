import type { CommandRunner } from '@islet/orchestrator';
import { BuildError } from '../builds/build-error.ts';
import type { InsideTask } from '../inside/task.ts';

/** Where the program is among the guest files. */
const SCRIPT = 'build/inside.mjs';
/** Where a layer that is being made has what the program needs; the program takes it away. */
export const WORKPLACE = '.islet-build';
/** Where the sandbox has a file of that folder. */
export function insidePath(name: string): string {
  return `/${WORKPLACE}/${name}`;
}

/** What the program exits with if the template is to blame. */
const TASK_ERROR = 1;
const KEPT_BYTES = 8192;

/**
 * Has the program inside the sandbox do a task.
 * @throws BuildError if the template is to blame.
 */
export async function runInside(
  runner: CommandRunner,
  task: InsideTask,
  phase: string,
  signal: AbortSignal,
): Promise<void> {
  let said = Buffer.alloc(0);
  const end = await runner.runGuestScript(
    {
      script: SCRIPT,
      args: [JSON.stringify(task)],
      onOutput: (_, bytes) => {
        said = Buffer.concat([said, bytes]).subarray(-KEPT_BYTES);
      },
    },
    signal,
  );
  if (end.exitCode === 0) return;
  const words = said.toString('utf8').trim();
  if (end.exitCode === TASK_ERROR) throw new BuildError(phase, words);
  throw new Error(`${task.kind} failed in the sandbox with ${end.status}: ${words}`);
}
