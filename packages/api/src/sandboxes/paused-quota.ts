import { assertWithin, type orchestratorProto } from '@islet/contracts';
import type { Team } from '@islet/db';
import type { CurrentSandboxes } from './current-sandboxes.ts';
import { isPaused } from './live.ts';

const MIB = 1024 * 1024;

const remedy = 'kill paused sandboxes that are not needed (Sandbox.kill)';

interface Held {
  /** Sandboxes that are paused, or will be when their time is over. */
  places: number;
  /** Of saved states, MiB. */
  megabytes: number;
}

/**
 * How many paused sandboxes a team may have, and how large. A sandbox that is to be paused when its time is over has
 * its place from its start on: no end of a sandbox's time ever finds the quota used up, so that none is lost for it.
 */
export class PausedQuota {
  readonly #sandboxes: Pick<CurrentSandboxes, 'ofTeam'>;
  /** Places of sandboxes that are being started, which are not known yet. */
  readonly #starting = new Map<string, number>();

  constructor(sandboxes: Pick<CurrentSandboxes, 'ofTeam'>) {
    this.#sandboxes = sandboxes;
  }

  /**
   * Takes places for sandboxes that are about to start and will be paused by themselves, until they are known or have
   * failed.
   * @throws IsletError 403 if the team has no room for them
   */
  async promise(team: Team, count: number): Promise<Disposable> {
    this.#assertRoom(await this.#held(team), team, count);
    this.#add(team.id, count);
    return { [Symbol.dispose]: () => this.#add(team.id, -count) };
  }

  /**
   * Makes sure that a running sandbox may be paused now.
   * @throws IsletError 403
   */
  async assertMayPause(team: Team, config: orchestratorProto.SandboxConfig): Promise<void> {
    // It was promised.
    if (config.autoPause) return;
    this.#assertRoom(await this.#held(team), team, 1);
  }

  async #held({ id }: Team): Promise<Held> {
    const held: Held = { places: 0, megabytes: 0 };
    for (const sandbox of await this.#sandboxes.ofTeam(id)) {
      const paused = isPaused(sandbox);
      if (paused || sandbox.config.autoPause) held.places++;
      if (paused) held.megabytes += sandbox.savedBytes / MIB;
    }
    return held;
  }

  #assertRoom({ places, megabytes }: Held, { id, limits }: Team, wanted: number): void {
    const common = { what: 'paused sandboxes', remedy, wanted };
    const used = places + (this.#starting.get(id) ?? 0);
    assertWithin({ ...common, used, most: limits.maxPausedSandboxes, flag: '--paused' });
    const size = { used: megabytes, most: limits.maxPausedMb, unit: 'MiB', flag: '--paused-mb' } as const;
    assertWithin({ ...common, ...size });
  }

  #add(teamId: string, count: number): void {
    const left = (this.#starting.get(teamId) ?? 0) + count;
    if (left > 0) this.#starting.set(teamId, left);
    else this.#starting.delete(teamId);
  }
}
