import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Deadline } from '@islet/contracts';
import type { BuildSandboxRequest, CommandRunner, TemplateRuntime } from '@islet/orchestrator';
import { BuildError, type BuildPhase } from '../builds/build-error.ts';
import type { InsideTask } from '../inside/task.ts';
import { runInside, WORKPLACE } from './inside.ts';
import type { LayerStack } from './layer-stack.ts';
import type { Report } from './reporter.ts';
import { runShell, type ShellCommand } from './run-command.ts';
import type { WritableFolder } from './writable-folder.ts';

export interface SandboxSize {
  cpuCount: number;
  memoryMb: number;
}

/** What is done in a layer's sandbox: a task of the program inside, or a command of the template. */
export type Job = InsideTask | ({ kind: 'shell' } & Omit<ShellCommand, 'phase'>);

export interface WorkspaceOptions {
  runtime: Pick<TemplateRuntime, 'openBuildSandbox'>;
  report: Report;
  /** Where in the build this is, for errors and the log. */
  phase: BuildPhase;
  /** What the sandbox stands on. */
  stack: LayerStack;
  size: SandboxSize;
  /** Takes what it writes. */
  folder: WritableFolder;
}

/** Longest wait for a sandbox to say how full its disk is, ms. */
const LOOK_MS = 10_000;

/** Where one layer is made: by a sandbox that stands on the layers below. */
export class Workspace {
  readonly #options: WorkspaceOptions;

  constructor(options: WorkspaceOptions) {
    this.#options = options;
  }

  /** Puts a file there that a job needs, and takes away: the sandbox has it at `insidePath(name)`. */
  async put(name: string, content: Readable): Promise<void> {
    const dir = join(await this.#options.folder.seedDir(), WORKPLACE);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    await pipeline(content, createWriteStream(join(dir, name), { mode: 0o600 }));
  }

  /**
   * Does jobs one after the other in a sandbox, which has ended when this returns; what it wrote is the layer then. To be called once.
   * @throws BuildError if the template is to blame.
   */
  async run(jobs: readonly Job[], signal: AbortSignal): Promise<void> {
    const { folder, size, stack } = this.#options;
    const root = { lowerDirs: stack.dirs.toReversed(), ...(await folder.mountable(signal)) };
    await this.#doAll({ root, ...size }, jobs, signal);
    await folder.collect(signal);
  }

  async #doAll(request: BuildSandboxRequest, jobs: readonly Job[], signal: AbortSignal): Promise<void> {
    const { folder, runtime } = this.#options;
    await using sandbox = await runtime.openBuildSandbox(request, signal);
    try {
      for (const job of jobs) await this.#do(sandbox, job, signal);
    } catch (error) {
      // Why a program failed, it says in words of its own.
      if (folder.tooLarge && !signal.aborted && (await isFull(sandbox))) throw folder.tooLarge(error);
      throw error;
    }
  }

  #do(runner: CommandRunner, job: Job, signal: AbortSignal): Promise<void> {
    const { phase, report } = this.#options;
    if (job.kind === 'shell') return runShell(runner, { ...job, phase }, report, signal);
    return runInside(runner, job, phase, signal);
  }
}

/** Whether nothing can be written in a build's sandbox any more; false also if it does not answer. */
async function isFull(runner: CommandRunner): Promise<boolean> {
  using limit = new Deadline(LOOK_MS);
  return await runInside(runner, { kind: 'look-for-room' }, '', limit.signal).then(
    () => false,
    (error) => error instanceof BuildError,
  );
}
