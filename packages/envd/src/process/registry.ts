import type { LivedTimers } from '../standstill/lived-timers.ts';
import { type LaunchRequest, type LaunchTools, launch } from './launch.ts';
import { ManagedProcess, type ProcessConfig } from './managed-process.ts';
import type { Reaper } from './reaper.ts';

/** How long a process that is over can still be asked how it ended. */
export const END_RETENTION_MS = 30_000;

/** Stand-ins for processes that never were start above the kernel's largest pid. */
const FIRST_PSEUDO_PID = 4_194_305;
const LAST_PSEUDO_PID = 0xffff_ffff;

export type Selector = { pid: number } | { tag: string };

export interface RegistryTools extends LaunchTools {
  reaper: Reaper;
  timers: LivedTimers;
}

/** All processes that were started through envd and are alive, and those that ended a moment ago. */
export class ProcessRegistry {
  readonly #tools: RegistryTools;
  readonly #byPid = new Map<number, ManagedProcess>();
  readonly #byTag = new Map<string, ManagedProcess>();
  /** How to keep one that is over for longer than its time. */
  readonly #retention = new Map<ManagedProcess, () => void>();
  #nextPseudoPid = FIRST_PSEUDO_PID;

  constructor(tools: RegistryTools) {
    this.#tools = tools;
  }

  /**
   * Starts a process. Subscribe in the same turn of the event loop to miss nothing.
   * @throws LaunchError
   */
  start(request: LaunchRequest, tag: string | undefined, config: ProcessConfig): ManagedProcess {
    const result = launch(this.#tools, request);
    const identity = { pid: result.started ? result.pid : this.#pseudoPid(), tag, config };
    const process = result.started
      ? ManagedProcess.running(identity, result.io, this.#tools)
      : ManagedProcess.failed(identity, result.exitCode, result.stderr);
    this.#forget(this.#byPid.get(process.pid));
    const sameTag = tag === undefined ? undefined : this.#byTag.get(tag);
    if (sameTag?.end) this.#forget(sameTag);
    this.#byPid.set(process.pid, process);
    if (tag !== undefined) this.#byTag.set(tag, process);
    process.onEnd(() => {
      const forget = () => this.#forget(process);
      this.#retention.set(process, this.#tools.timers.after(END_RETENTION_MS, forget));
    });
    return process;
  }

  /** A process that is alive or ended within the last moments. */
  find(selector: Selector): ManagedProcess | undefined {
    return 'pid' in selector ? this.#byPid.get(selector.pid) : this.#byTag.get(selector.tag);
  }

  /** A process that is alive. */
  findAlive(selector: Selector): ManagedProcess | undefined {
    const process = this.find(selector);
    return process?.end ? undefined : process;
  }

  alive(): ManagedProcess[] {
    return [...this.#byPid.values()].filter((process) => !process.end);
  }

  #forget(process: ManagedProcess | undefined): void {
    if (!process) return;
    this.#retention.get(process)?.();
    this.#retention.delete(process);
    if (this.#byPid.get(process.pid) === process) this.#byPid.delete(process.pid);
    if (process.tag !== undefined && this.#byTag.get(process.tag) === process)
      this.#byTag.delete(process.tag);
  }

  #pseudoPid(): number {
    const pid = this.#nextPseudoPid;
    this.#nextPseudoPid = pid === LAST_PSEUDO_PID ? FIRST_PSEUDO_PID : pid + 1;
    return pid;
  }
}
