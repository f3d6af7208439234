import type { Reservations } from '@islet/catalog';
import type { Logger } from '@islet/telemetry';

/** What a team did in one bucket of time. */
export interface UsageBucket {
  startMs: number;
  /** Most sandboxes that ran at once. */
  running: number;
  created: number;
  /** Most that were created between two samples. */
  createdAtOnce: number;
}

/** Between two samples, ms, as the protocol has it. */
export const SAMPLE_MS = 5_000;
export const BUCKET_MS = 60_000;
/** As far back as anybody can ask. */
export const KEPT_MS = 7 * 24 * 3_600_000;
/** Some 10,000 buckets each if they are busy all the time; who has been idle longest goes first. */
const MOST_TEAMS = 500;

export interface TeamUsageOptions {
  reservations: Pick<Reservations, 'counts'>;
  /** Unix milliseconds. */
  now: () => number;
  logger: Logger;
}

/** How many sandboxes each team has running and starts, minute by minute, in memory. Minutes in which nothing ran are not kept. */
export class TeamUsage {
  readonly #options: TeamUsageOptions;
  /** In the order of their last bucket. */
  readonly #teams = new Map<string, UsageBucket[]>();
  readonly #created = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: TeamUsageOptions) {
    this.#options = options;
    this.#timer = setInterval(() => {
      this.sample().catch((error: unknown) =>
        options.logger.warn({ err: error }, 'cannot count the sandboxes of teams'),
      );
    }, SAMPLE_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Counts a sandbox that was started for a team. */
  created(teamId: string): void {
    this.#created.set(teamId, (this.#created.get(teamId) ?? 0) + 1);
  }

  /** Takes down what runs now and what was created since the last time. */
  async sample(): Promise<void> {
    const running = await this.#options.reservations.counts();
    const startMs = Math.floor(this.#options.now() / BUCKET_MS) * BUCKET_MS;
    for (const teamId of new Set([...running.keys(), ...this.#created.keys()])) {
      const created = this.#created.get(teamId) ?? 0;
      const buckets = (this.#teams.get(teamId) ?? []).filter((bucket) => bucket.startMs > startMs - KEPT_MS);
      const last = buckets.at(-1);
      const bucket = last?.startMs === startMs ? last : { startMs, running: 0, created: 0, createdAtOnce: 0 };
      if (bucket !== last) buckets.push(bucket);
      bucket.running = Math.max(bucket.running, running.get(teamId) ?? 0);
      bucket.created += created;
      bucket.createdAtOnce = Math.max(bucket.createdAtOnce, created);
      this.#teams.delete(teamId);
      this.#teams.set(teamId, buckets);
    }
    this.#created.clear();
    for (const teamId of this.#teams.keys()) {
      if (this.#teams.size <= MOST_TEAMS) break;
      this.#teams.delete(teamId);
    }
  }

  /** A team's buckets that begin in the range, ascending, with what is so now. Unix ms. */
  async read(teamId: string, startMs: number, endMs: number): Promise<UsageBucket[]> {
    await this.sample();
    const buckets = this.#teams.get(teamId) ?? [];
    return buckets.filter((bucket) => bucket.startMs + BUCKET_MS > startMs && bucket.startMs <= endMs);
  }
}
