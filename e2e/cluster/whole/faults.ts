import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../../chaos/random.ts';
import { until } from '../../setup/until.ts';
import { type Cluster, type Machine, NODES, type NodeName, PARTS, type Part } from './cluster.ts';
import type { Told } from './model.ts';
import { lost } from './model.ts';

export const FAULTS = [
  ...(['kill', 'freeze', 'cut off', 'slow link', 'drain', 'full disk', 'store away', 'power off'] as const),
];
export type FaultKind = (typeof FAULTS)[number];

/** How long one lasts, ms. */
const LASTS = { least: 500, most: 20_000 };
/** A node that was broken for so long may count as lost until it is back, ms: some seconds less than the time that that takes. */
const UNHEARD_MS = 8_000;

export interface FaultsOptions {
  cluster: Cluster;
  random: Random;
  everyone: () => readonly Told[];
  /** The longest that one lasts, ms. */
  longestMs: number;
}

/** Something that is broken, and how it is repaired. */
interface Fault {
  what: string;
  repair(): Promise<void>;
}

/** Breaks things of a cluster, one after the other, and repairs each. */
export class Faults {
  readonly #options: FaultsOptions;
  /** How many of each kind there were. */
  readonly counts = new Map<FaultKind, number>();
  /** What is broken now: nothing is broken twice at a time. */
  readonly #broken = new Set<Machine | 'disk' | 'store'>();

  /** When the first node of this round was broken, Unix ms. */
  #unheardFrom: number | undefined;

  constructor(options: FaultsOptions) {
    this.#options = options;
  }

  /** What runs on some node may be answered as if it was lost, for now. */
  get maySeemLost(): boolean {
    return this.#unheardFrom !== undefined && Date.now() > this.#unheardFrom + UNHEARD_MS;
  }

  /** All is repaired, and all APIs hear all nodes. */
  allIsWell(): void {
    this.#unheardFrom = undefined;
  }

  /** Breaks something for a while. @param say told what, and when it is repaired */
  async injectOne(kind: FaultKind, say: (text: string) => void, signal: AbortSignal): Promise<void> {
    const { random, longestMs } = this.#options;
    const lastsMs = Math.min(random.integer(LASTS.least, LASTS.most), longestMs);
    const target = this.#targetOf(kind);
    if (this.#broken.has(target)) return;
    this.#broken.add(target);
    if (NODES.some((node) => node === target) && kind !== 'drain') this.#unheardFrom ??= Date.now();
    const { what, repair } = await this.#break(kind, target);
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    say(`${what} for ${(lastsMs / 1000).toFixed(1)} s`);
    await sleep(lastsMs, undefined, { signal }).catch(() => undefined);
    await repair();
    this.#broken.delete(target);
    say(`${what}: repaired`);
  }

  #targetOf(kind: FaultKind): Machine | 'disk' | 'store' {
    const { cluster, random } = this.#options;
    if (kind === 'full disk') return 'disk';
    if (kind === 'store away') return cluster.storeMachine;
    if (kind === 'freeze') return random.pick(PARTS);
    return random.pick(kind === 'drain' || kind === 'power off' ? NODES : cluster.machines);
  }

  async #break(kind: FaultKind, target: Machine | 'disk' | 'store'): Promise<Fault> {
    const { cluster } = this.#options;
    if (target === 'disk') {
      await cluster.disk.fill();
      return { what: 'the small disk is full', repair: () => cluster.disk.free() };
    }
    if (target === 'store' || kind === 'store away') {
      await cluster.store.set(false);
      return { what: 'the store is away', repair: () => cluster.store.set(true) };
    }
    switch (kind) {
      case 'freeze':
        return this.#freeze(target as Part);
      case 'cut off':
        await cluster.network.setLink(target, 'down');
        return { what: `${target} is cut off`, repair: () => cluster.network.setLink(target, 'up') };
      case 'slow link':
        await cluster.network.setSlow(target, true);
        return {
          what: `the link of ${target} is slow`,
          repair: () => cluster.network.setSlow(target, false),
        };
      case 'drain':
        return this.#drain(target as NodeName);
      case 'power off':
        return this.#powerOff(target as NodeName);
      default:
        return this.#kill(target);
    }
  }

  #freeze(part: Part): Fault {
    const pid = this.#options.cluster.pidOf(part);
    process.kill(pid, 'SIGSTOP');
    return { what: `${part} stands still`, repair: async () => void process.kill(pid, 'SIGCONT') };
  }

  async #drain(node: NodeName): Promise<Fault> {
    const { cluster } = this.#options;
    // Something else may be broken meanwhile.
    const tell = (what: string, ask: () => Promise<unknown>) => until(what, 60_000, ask, () => true);
    await tell(`${node} can be drained`, () => cluster.drain(node));
    const repair = async () => {
      await tell(`${node} can be undrained`, () => cluster.tell('node', 'undrain', node));
    };
    return { what: `${node} is drained`, repair };
  }

  async #kill(machine: Machine): Promise<Fault> {
    const { cluster } = this.#options;
    const what = `${machine} is killed`;
    if (machine === 'postgres') {
      await cluster.postgres.crash();
      return { what, repair: () => cluster.postgres.restart() };
    }
    if (machine === 'redis') {
      await cluster.redis.stop();
      return { what, repair: () => cluster.redis.restart() };
    }
    if (machine === 'bucket') {
      await cluster.store.set(false);
      return { what, repair: () => cluster.store.set(true) };
    }
    await cluster.end(machine, 'SIGKILL');
    return { what, repair: () => cluster.run(machine) };
  }

  /** What ran there is lost, and nothing else. */
  async #powerOff(node: NodeName): Promise<Fault> {
    const { cluster, everyone } = this.#options;
    const loseWhatRan = async () => {
      const there = await cluster.sandboxesOn(node);
      const ran = new Set(there.flatMap(({ id, runs }) => (runs ? [id] : [])));
      const all = new Set(there.map(({ id }) => id));
      for (const told of everyone()) if (ran.has(told.id) || (told.isBusy && all.has(told.id))) lost(told);
    };
    // Clients hear of it before it is over, and go on meanwhile.
    await loseWhatRan();
    await cluster.powerOff(node);
    await loseWhatRan();
    return { what: `${node} has no power`, repair: () => cluster.run(node) };
  }
}
