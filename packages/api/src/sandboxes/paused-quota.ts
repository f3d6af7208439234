import type { Pending } from '@islet/catalog';
import { assertWithin, type orchestratorProto } from '@islet/contracts';
import type { Team } from '@islet/db';
import type { CurrentSandboxes } from './current-sandboxes.ts';
import { isPaused } from './live.ts';

type SandboxConfig = orchestratorProto.SandboxConfig;

const MIB = 1024 * 1024;

const remedy = 'kill paused sandboxes that are not needed (Sandbox.kill)';

interface Held {
  /** Ids of sandboxes that are paused, or will be when their time is over. */
  places: Set<string>;
  /** Of saved states, MiB. */
  megabytes: number;
}

/**
 * How many paused sandboxes a team may have, and how large, over all control planes. A sandbox that is to be paused when its time is
 * over has its place from its start on: no end of a sandbox's time ever finds the quota used up, so that none is lost for it.
 */
export class PausedQuota {
  readonly #sandboxes: Pick<CurrentSandboxes, 'ofTeam'>;
  /** Sandboxes that are being started or paused, which are not known yet. */
  readonly #pending: Pending;

  constructor(sandboxes: Pick<CurrentSandboxes, 'ofTeam'>, pending: Pending) {
    this.#sandboxes = sandboxes;
    this.#pending = pending;
  }

  /**
   * Takes places for sandboxes that are about to start and will be paused by themselves, until they are known or have
   * failed.
   * @throws IsletError 403 if the team has no room for them
   */
  async promise(team: Team, sandboxIds: readonly string[]): Promise<AsyncDisposable> {
    // In this order: what another control plane has taken out since, all read by now.
    const pending = await this.#pending.add(team.id, sandboxIds);
    const place = { [Symbol.asyncDispose]: () => this.#pending.remove(team.id, sandboxIds) };
    try {
      const { places, megabytes } = await this.#held(team);
      for (const id of pending) places.add(id);
      for (const id of sandboxIds) places.delete(id);
      assertRoom({ used: places.size, megabytes }, team, sandboxIds.length);
      return place;
    } catch (error) {
      await place[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * Takes the place of a running sandbox that is about to be paused, until that is known.
   * @throws IsletError 403
   */
  async pausing(team: Team, { sandboxId, autoPause }: SandboxConfig): Promise<AsyncDisposable> {
    // One that is paused by itself has its place.
    if (autoPause) return { [Symbol.asyncDispose]: async () => undefined };
    return this.promise(team, [sandboxId]);
  }

  async #held({ id }: Team): Promise<Held> {
    const held: Held = { places: new Set(), megabytes: 0 };
    for (const sandbox of await this.#sandboxes.ofTeam(id)) {
      const paused = isPaused(sandbox);
      if (paused || sandbox.config.autoPause) held.places.add(sandbox.config.sandboxId);
      if (paused) held.megabytes += sandbox.savedBytes / MIB;
    }
    return held;
  }
}

function assertRoom(
  { used, megabytes }: { used: number; megabytes: number },
  { limits }: Team,
  wanted: number,
): void {
  const common = { what: 'paused sandboxes', remedy, wanted };
  assertWithin({ ...common, used, most: limits.maxPausedSandboxes, flag: '--paused' });
  const size = { used: megabytes, most: limits.maxPausedMb, unit: 'MiB', flag: '--paused-mb' } as const;
  assertWithin({ ...common, ...size });
}
