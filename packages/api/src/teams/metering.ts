import { orchestratorProto, type Sandbox, type SandboxLifeEvent } from '@islet/contracts';
import {
  countCreated,
  countEnded,
  countKept,
  type Database,
  noteRunning,
  type Run,
  readUsage,
  sweepRuns,
  type UsageDay,
} from '@islet/db';
import type { Logger } from '@islet/telemetry';
import type { KnownSandboxes } from '../sandboxes/known-sandboxes.ts';

export interface MeteringOptions {
  db: Database;
  sandboxes: Pick<KnownSandboxes, 'all' | 'ofTeam'>;
  /** Unix ms. */
  now: () => number;
  logger: Logger;
}

const MIB = 1024 * 1024;
const EVERY_MS = 60_000;
const SWEEP_MS = 3_600_000;
/** Longer than anyone tells again what happened. */
const KEPT_MS = 30 * 24 * 3_600_000;

/** What teams use, in the database: of runs that are over from their events, of others minute by minute. Any number of APIs may do so. */
export class Metering implements AsyncDisposable {
  readonly #options: MeteringOptions;
  #timer: NodeJS.Timeout | undefined;
  #ticking: Promise<void> = Promise.resolve();
  #sweptAt = Number.NEGATIVE_INFINITY;

  constructor(options: MeteringOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer ??= setInterval(() => {
      this.#ticking = this.tick().catch((error: unknown) =>
        this.#options.logger.warn({ err: error }, 'cannot take down what teams use'),
      );
    }, EVERY_MS).unref();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#ticking;
  }

  /** Counts what events tell. Resolves when the database has it. */
  async hear(events: readonly SandboxLifeEvent[]): Promise<void> {
    const { db } = this.#options;
    const created = events.filter(({ type }) => type === 'created');
    if (created.length > 0) {
      const marks = created.map(({ sandboxId, teamId, timeMs }) => ({
        sandboxId,
        teamId,
        at: new Date(timeMs),
      }));
      await countCreated(db, marks);
    }
    const ended = events.flatMap(({ sandboxId, teamId, execution }): Run[] => {
      if (!execution) return [];
      const { startedAtMs, lengthMs, cpuCount: vcpu, memoryMb } = execution;
      const [startedAt, until] = [new Date(startedAtMs), new Date(startedAtMs + lengthMs)];
      return [{ sandboxId, teamId, vcpu, memoryMb, startedAt, until }];
    });
    if (ended.length > 0) await countEnded(db, ended);
  }

  /** Takes down how far runs have come, and adds what teams keep. */
  async tick(): Promise<void> {
    const { db, sandboxes, now } = this.#options;
    const at = now();
    const running: Run[] = [];
    const paused = new Map<string, number>();
    for (const sandbox of sandboxes.all()) {
      const { teamId } = sandbox.config;
      if (runs(sandbox)) running.push(runOf(sandbox, at));
      else paused.set(teamId, (paused.get(teamId) ?? 0) + sandbox.savedBytes / MIB);
    }
    await noteRunning(db, running);
    await countKept(db, { now: at, everyMs: EVERY_MS, paused });
    if (at - this.#sweptAt < SWEEP_MS) return;
    this.#sweptAt = at;
    await sweepRuns(db, new Date(at - KEPT_MS));
  }

  /** By day, both included; what runs counts until now. */
  read(teamId: string, from: string, to: string): Promise<UsageDay[]> {
    const { db, sandboxes, now } = this.#options;
    const running = sandboxes.ofTeam(teamId).filter(runs);
    return readUsage(db, { teamId, from, to, running: running.map((sandbox) => runOf(sandbox, now())) });
  }
}

/** One that is being moved runs on. */
function runs({ state, moving }: Sandbox): boolean {
  return state !== orchestratorProto.SandboxState.PAUSED || moving;
}

function runOf({ config, startedAtMs }: Sandbox, now: number): Run {
  const { sandboxId, teamId, cpuCount: vcpu, memoryMb } = config;
  return { sandboxId, teamId, vcpu, memoryMb, startedAt: new Date(startedAtMs), until: new Date(now) };
}
