import { orchestratorProto } from '@islet/contracts';
import type { Machine, SandboxDriver } from '@islet/driver';
import type { Logger } from '@islet/telemetry';
import type { Standstill } from '../envd/client.ts';
import type { Entry } from './table.ts';

/** How often the node looks for sandboxes that nobody uses, ms. */
const LOOK_MS = 500;

/** For so long after a call or traffic somebody may still wait for what it began, ms. */
const WANTED_MS = 3_000;

/** For so long the driver looks at a still sandbox until it can be believed, ms. */
const MIN_QUIET_MS = 2_000;

/** Says for one sandbox after how many seconds without use it is frozen; 0: never. Anything but a number is passed over. */
export const FREEZE_AFTER_KEY = 'islet.freeze-after';

export interface FreezerOptions {
  driver: Pick<SandboxDriver, 'freeze' | 'thaw' | 'isStill' | 'expect'>;
  /** Without use, ms; undefined: never, but for a sandbox that says so itself. */
  freezeAfterMs: number | undefined;
  entries: () => readonly Entry[];
  /** Runs a task in the sandbox's turn. */
  inTurn: (sandboxId: string, task: () => Promise<void>) => Promise<void>;
  /** A run stood still, and goes on again: deadlines inside do not count that time. */
  stoodStill: (run: Pick<Run, 'sandboxId' | 'machine'>, standstill: Standstill) => void;
  /** Unix ms. */
  now: () => number;
  logger: Logger;
}

/** One run of a sandbox. */
interface Run {
  sandboxId: string;
  machine: Machine;
  /** Of the last call or traffic, Unix ms. */
  lastUseMs: number;
  /** Since when nobody uses it and no program runs in it, Unix ms. */
  quietSinceMs: number;
  freezeAfterMs: number | undefined;
  /** Unix ms; undefined: it runs. */
  frozenSinceMs: number | undefined;
}

/**
 * Has sandboxes stand still that nobody uses: no traffic, no open stream, no call, and no processor time but their runtime's own.
 * Nothing tells them from others but the time that their programs miss. Whoever wants something of one has it go on first.
 */
export class Freezer {
  readonly #options: FreezerOptions;
  /** Running sandboxes, by execution id. */
  readonly #runs = new Map<string, Run>();
  /** Execution ids that traffic uses now. */
  readonly #inUse = new Set<string>();
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(options: FreezerOptions) {
    this.#options = options;
    // A driver that cannot tell never freezes any.
    if (options.driver.isStill) this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  /** Traffic begins to use a run, or has not for a while. */
  use(executionId: string, inUse: boolean): void {
    if (inUse) this.#inUse.add(executionId);
    else this.#inUse.delete(executionId);
    const run = this.#runs.get(executionId);
    if (!run) return;
    this.#wanted(run);
    if (inUse && isFrozen(run)) {
      this.#thaw(run).catch((error: unknown) => {
        const { sandboxId } = run;
        this.#options.logger.error({ err: error, sandboxId }, 'a sandbox that stood still does not go on');
      });
    }
  }

  /** Has a sandbox go on before something is done with it, in its turn. */
  async wake({ sandbox }: Entry): Promise<void> {
    const run = this.#runs.get(sandbox.executionId);
    if (!run) return;
    this.#wanted(run);
    if (isFrozen(run)) await this.#thaw(run);
  }

  /** True if nothing in a run changes but the time: it stands still, or no program in it runs. */
  rests(executionId: string): boolean {
    const run = this.#runs.get(executionId);
    return run !== undefined && (isFrozen(run) || this.#options.driver.isStill?.(run.machine) === true);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { driver, entries, inTurn, now, logger } = this.#options;
    const seen = new Set<string>();
    for (const entry of entries()) {
      const { executionId } = entry.sandbox;
      const run = this.#know(entry);
      if (!run) continue;
      seen.add(executionId);
      if (isFrozen(run)) continue;
      const wanted = this.#inUse.has(executionId) || now() - run.lastUseMs < WANTED_MS;
      driver.expect?.(run.machine, wanted);
      if (wanted || !driver.isStill?.(run.machine)) run.quietSinceMs = now();
      if (!this.#isOver(run)) continue;
      const { sandboxId } = run;
      inTurn(sandboxId, () => this.#freeze(executionId)).catch((error: unknown) => {
        run.quietSinceMs = now(); // not at each look
        logger.warn({ err: error, sandboxId }, 'a sandbox cannot be frozen');
      });
    }
    for (const executionId of this.#runs.keys()) if (!seen.has(executionId)) this.#runs.delete(executionId);
  }

  #know({ run, sandbox }: Entry): Run | undefined {
    if (!run || sandbox.state !== orchestratorProto.SandboxState.RUNNING) return undefined;
    const known = this.#runs.get(sandbox.executionId);
    if (known) return known;
    const { freezeAfterMs, now } = this.#options;
    const made: Run = {
      sandboxId: sandbox.config.sandboxId,
      machine: run.machine,
      ...{ lastUseMs: now(), quietSinceMs: now() },
      freezeAfterMs: parseFreezeAfter(sandbox.config.metadata[FREEZE_AFTER_KEY], freezeAfterMs),
      frozenSinceMs: undefined,
    };
    this.#runs.set(sandbox.executionId, made);
    return made;
  }

  #wanted(run: Run): void {
    const { driver, now } = this.#options;
    run.lastUseMs = run.quietSinceMs = now();
    driver.expect?.(run.machine, true);
  }

  #isOver({ freezeAfterMs, quietSinceMs }: Run): boolean {
    if (freezeAfterMs === undefined) return false;
    return this.#options.now() - quietSinceMs >= Math.max(freezeAfterMs, MIN_QUIET_MS);
  }

  /** In its turn: whatever came before may have used it, or ended it. */
  async #freeze(executionId: string): Promise<void> {
    const run = this.#runs.get(executionId);
    const entry = this.#options.entries().find(({ sandbox }) => sandbox.executionId === executionId);
    if (!run || isFrozen(run) || entry?.run?.machine !== run.machine || !this.#isOver(run)) return;
    run.frozenSinceMs = this.#options.now();
    await this.#options.driver.freeze(run.machine);
    if (this.#inUse.has(executionId)) await this.#thaw(run);
  }

  async #thaw(run: Run): Promise<void> {
    const { driver, stoodStill, now } = this.#options;
    const from = run.frozenSinceMs ?? now();
    run.frozenSinceMs = undefined;
    await driver.thaw(run.machine);
    stoodStill(run, { from, to: Math.max(from, now()) });
  }
}

const isFrozen = ({ frozenSinceMs }: Run): boolean => frozenSinceMs !== undefined;

/** ms; undefined: never. */
export function parseFreezeAfter(
  text: string | undefined,
  otherwise: number | undefined,
): number | undefined {
  if (text === undefined || !/^\d{1,7}$/.test(text)) return otherwise;
  return text === '0' ? undefined : Number(text) * 1000;
}
