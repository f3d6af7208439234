import type { Reservations } from '@islet/catalog';
import { TEAM_SAMPLE_MS, type TeamStore } from '@islet/sinks';
import type { Logger } from '@islet/telemetry';

export interface TeamUsageOptions {
  reservations: Pick<Reservations, 'counts'>;
  /** Undefined: what teams have is kept nowhere. */
  teams: Pick<TeamStore, 'write'> | undefined;
  /** Unix milliseconds. */
  now: () => number;
  logger: Logger;
}

/** Takes down how many sandboxes each team has running and starts. Teams that have nothing are not taken down. */
export class TeamUsage {
  readonly #options: TeamUsageOptions;
  readonly #created = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: TeamUsageOptions) {
    this.#options = options;
    this.#timer = setInterval(() => {
      this.sample().catch((error: unknown) =>
        options.logger.warn({ err: error }, 'cannot take down what teams have'),
      );
    }, TEAM_SAMPLE_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Counts a sandbox that was started for a team. */
  created(teamId: string): void {
    this.#created.set(teamId, (this.#created.get(teamId) ?? 0) + 1);
  }

  /** Takes down what runs now and what was created since the last time, of all teams or of one; it can be read then. */
  async sample(only?: string): Promise<void> {
    const { reservations, teams, now } = this.#options;
    const running = await reservations.counts();
    const timeMs = now();
    const ids = [...new Set([...running.keys(), ...this.#created.keys()])];
    const samples = ids
      .filter((teamId) => only === undefined || teamId === only)
      .map((teamId) => ({
        ...{ teamId, timeMs, running: running.get(teamId) ?? 0 },
        created: this.#created.get(teamId) ?? 0,
      }))
      .filter((sample) => sample.running + sample.created > 0);
    for (const { teamId } of samples) this.#created.delete(teamId);
    try {
      await teams?.write(samples);
    } catch (error) {
      // They were created nevertheless: the next sample says so.
      for (const { teamId, created } of samples) {
        if (created > 0) this.#created.set(teamId, (this.#created.get(teamId) ?? 0) + created);
      }
      throw error;
    }
  }
}
