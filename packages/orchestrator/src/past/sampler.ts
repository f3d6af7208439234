import { orchestratorProto, type Sandbox } from '@islet/contracts';
import type { SampleSink } from '@islet/sinks';
import type { Logger } from '@islet/telemetry';
import type { EnvdMetrics } from '../envd/answers.ts';
import { readMetrics } from '../envd/client.ts';

/** How often each sandbox is asked, ms; clients expect samples this far apart. */
const INTERVAL_MS = 5_000;

/** Of many sandboxes each is asked less often, ms for each of them: an answer costs one some 15 ms of a CPU under gVisor. */
const SPACING_MS = 150;

/** Asked at once; the rest waits, so that hundreds of sandboxes are not all woken in the same instant. */
const ASKED_AT_ONCE = 8;

/** Of one team at once: its sandboxes may all take their time, and the others' are asked beside them. */
const ASKED_OF_TEAM = 3;

/** A sandbox that is busy misses a sample. */
const ANSWER_DEADLINE_MS = 1_000;

/** A sandbox that did not answer sits out as many rounds as it has failed, up to this. */
const MOST_ROUNDS_OUT = 12;

/** Asks a sandbox how it does. Rejects if it gives no valid answer in its time. */
export type Ask = (sandbox: Sandbox, signal: AbortSignal) => Promise<EnvdMetrics>;

export interface SamplerOptions {
  sandboxes: () => readonly Sandbox[];
  ask: Ask;
  /** True if nothing in a sandbox changes but the time: it is not asked again, which would have its programs run. */
  rests: (sandbox: Sandbox) => boolean;
  samples: SampleSink;
  /** Unix ms. */
  now: () => number;
  logger: Logger;
}

/** @param now Unix ms. Absent: the sandboxes have no clock of their own, and are not told the time; see `SandboxDriver`. */
export function askEnvd(now?: () => number): Ask {
  return ({ address, config }, signal) =>
    readMetrics({ address, deadlineMs: ANSWER_DEADLINE_MS, signal }, config.envdAccessToken, now?.());
}

/** Starts taking samples of every running sandbox, until it is closed. */
export function startSampler(options: SamplerOptions): { close(): Promise<void> } {
  const stop = new AbortController();
  const sampler = new Sampler(options, stop.signal);
  let round: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  const next = () => {
    const periodMs = Math.max(INTERVAL_MS, options.sandboxes().length * SPACING_MS);
    timer = setTimeout(() => {
      round = sampler.round(periodMs).finally(() => {
        if (!stop.signal.aborted) next();
      });
    }, periodMs);
    timer.unref();
  };
  next();
  return {
    async close() {
      stop.abort();
      clearTimeout(timer);
      await round;
    },
  };
}

/** How a run has answered so far. */
interface History {
  /** Of the last question, Unix ms; 0: none yet. */
  askedAtMs: number;
  /** In a row. */
  failures: number;
  roundsOut: number;
  /** Absent: it has not answered yet. */
  last?: EnvdMetrics;
}

/** Asks the sandboxes in rounds. One that hangs costs its own team's turns, and fewer of them each time. */
export class Sampler {
  readonly #options: SamplerOptions;
  readonly #signal: AbortSignal;
  /** By execution id. */
  #histories = new Map<string, History>();

  constructor(options: SamplerOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  /** Asks each sandbox once, those that were asked longest ago first; whom it did not come to within `periodMs` is next time's. */
  async round(periodMs: number): Promise<void> {
    const { sandboxes, now } = this.#options;
    const running = sandboxes().filter(({ state }) => state === orchestratorProto.SandboxState.RUNNING);
    this.#histories = new Map(
      running.map(({ executionId }) => [executionId, this.#histories.get(executionId) ?? newHistory()]),
    );
    const history = ({ executionId }: Sandbox) => this.#histories.get(executionId) ?? newHistory();
    const waiting = running
      .filter((sandbox) => history(sandbox).roundsOut-- <= 0)
      .sort((a, b) => history(a).askedAtMs - history(b).askedAtMs);
    const endMs = now() + periodMs;
    const asking = new Map<string, number>();
    const worker = async () => {
      while (!this.#signal.aborted && now() < endMs) {
        const at = waiting.findIndex(({ config }) => (asking.get(config.teamId) ?? 0) < ASKED_OF_TEAM);
        const [sandbox] = at < 0 ? [] : waiting.splice(at, 1);
        if (!sandbox) return;
        const { teamId: team } = sandbox.config;
        asking.set(team, (asking.get(team) ?? 0) + 1);
        await this.#ask(sandbox, history(sandbox));
        asking.set(team, (asking.get(team) ?? 0) - 1);
      }
    };
    await Promise.all(Array.from({ length: ASKED_AT_ONCE }, worker));
  }

  async #ask(sandbox: Sandbox, history: History): Promise<void> {
    const { ask, samples, rests, now, logger } = this.#options;
    const { sandboxId, teamId, cpuCount } = sandbox.config;
    history.askedAtMs = now();
    try {
      const { last } = history;
      const metrics = last && rests(sandbox) ? { ...last, cpuUsedPct: 0 } : await ask(sandbox, this.#signal);
      samples.record({ sandboxId, teamId, timeMs: now(), cpuCount, ...metrics });
      history.last = metrics;
      history.failures = history.roundsOut = 0;
    } catch (error) {
      if (this.#signal.aborted) return;
      history.roundsOut = Math.min(history.failures++, MOST_ROUNDS_OUT);
      logger.debug({ err: error, sandboxId }, 'a sandbox gave no sample');
    }
  }
}

const newHistory = (): History => ({ askedAtMs: 0, failures: 0, roundsOut: 0 });
