import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from 'e2b';
import { Random } from '../../chaos/random.ts';
import { until } from '../../setup/until.ts';
import { Checks } from './checks.ts';
import { Client } from './client.ts';
import { APIS, type Cluster, EDGES, type Way } from './cluster.ts';
import { type FaultKind, Faults } from './faults.ts';
import { leftBehind } from './left-behind.ts';
import { BREACHES, Broken, surelyRuns, type Told } from './model.ts';

const CLIENTS = 4;
/** In a round, things are broken one after the other, now and then two at a time. */
const SECOND_FAULT_CHANCE = 0.3;
/** From one to the second, ms. */
const SECOND_FAULT_AFTER_MS = 500;

export interface RunOptions {
  seed: number;
  /** Of the team whose sandboxes these are, and that has no others. */
  apiKey: string;
  /** Sandboxes that the team may have running. */
  limit: number;
  /** No round begins later, ms. */
  durationMs: number;
  /** Operations of each client at the beginning of a round, while nothing is broken. */
  calmOperations: number;
  /** Faults in a round, behind which all is checked. */
  faultsInRound: number;
  longestFaultMs: number;
  kinds: readonly FaultKind[];
  say(text: string): void;
  signal: AbortSignal;
}

/** What a run was. */
export interface Summary {
  seed: number;
  seconds: number;
  rounds: number;
  operations: Record<string, number>;
  /** Operations that were answered with an error, by what it said. */
  errors: Record<string, number>;
  faults: Partial<Record<FaultKind, number>>;
  breaches: Record<(typeof BREACHES)[number], number>;
  /** What broke, if anything. */
  broken: string | undefined;
}

/**
 * Has clients use a cluster while parts of it are broken and repaired at random, and checks what they were told. In the end the
 * cluster is stopped, and nothing may be left of it.
 * @throws Error if a part of the cluster does not run: what that had would count as left
 */
export async function breakAtRandom(cluster: Cluster, options: RunOptions): Promise<Summary> {
  if (cluster.ended.length > 0) throw new Error(`${cluster.ended.join(', ')} has to run`);
  return new Run(cluster, options).work();
}

class Run {
  readonly #cluster: Cluster;
  readonly #options: RunOptions;
  readonly #random: Random;
  readonly #ways: readonly Way[];
  readonly #clients: readonly Client[];
  readonly #faults: Faults;
  readonly #checks: Checks;
  readonly #summary: Summary;
  #phase: 'calm' | 'faults' | 'over' = 'calm';

  constructor(cluster: Cluster, options: RunOptions) {
    const { seed, apiKey, limit, longestFaultMs } = options;
    this.#cluster = cluster;
    this.#options = options;
    this.#random = new Random(seed);
    this.#ways = APIS.flatMap((api) => EDGES.map((edge) => ({ ...cluster.way(api, edge), apiKey })));
    this.#clients = Array.from({ length: CLIENTS }, () => this.#newClient());
    const everyone = () => this.#everyone;
    this.#faults = new Faults({
      ...{ cluster, random: this.#random.fork(), everyone, longestMs: longestFaultMs },
    });
    this.#checks = new Checks({ cluster, ways: this.#ways, limit });
    const breaches = Object.fromEntries(BREACHES.map((kind) => [kind, 0])) as Summary['breaches'];
    const nothing = { seconds: 0, rounds: 0, operations: {}, errors: {}, faults: {}, broken: undefined };
    this.#summary = { seed, ...nothing, breaches };
  }

  async work(): Promise<Summary> {
    const { durationMs, say, signal } = this.#options;
    const summary = this.#summary;
    const began = Date.now();
    try {
      await firstSandboxes(this.#ways);
      do {
        say(`round ${++summary.rounds}: ${this.#everyone.length} sandboxes`);
        await this.#useWhileCalm();
        await this.#useWhileBroken();
        say('all is repaired, and checked');
        await this.#check();
      } while (Date.now() < began + durationMs && !signal.aborted);
      await this.#checks.killAll(this.#everyone);
      say('what is left behind is looked for');
      const left = await leftBehind(this.#cluster, this.#checks);
      if (left.length > 0) throw new Broken('left', left.join('\n'));
    } catch (error) {
      const broken = error instanceof Broken ? error : new Broken('wrong', String(error), error);
      summary.breaches[broken.kind]++;
      summary.broken = broken.stack;
    }
    summary.faults = Object.fromEntries(this.#faults.counts);
    summary.seconds = Math.round((Date.now() - began) / 1000);
    return summary;
  }

  get #everyone(): Told[] {
    return this.#clients.flatMap(({ told }) => told);
  }

  #newClient(): Client {
    const { limit } = this.#options;
    return new Client({
      ...{ random: this.#random.fork(), ways: this.#ways, everyone: () => this.#everyone },
      isCalm: () => this.#phase === 'calm',
      isOver: () => this.#phase === 'over',
      maySeemLost: () => this.#faults.maySeemLost,
      onOutcome: (operation, outcome) => {
        add(this.#summary.operations, operation);
        if (outcome !== 'done') add(this.#summary.errors, `${operation}: ${outcome}`);
        // What was taken for lost has freed its place.
        if (this.#faults.maySeemLost) return;
        const now = Date.now();
        const running = this.#everyone.filter((told) => surelyRuns(told, now)).length;
        if (running > limit) throw new Broken('limit', `${running} sandboxes run, and ${limit} may`);
      },
    });
  }

  async #useWhileCalm(): Promise<void> {
    this.#phase = 'calm';
    const use = async (client: Client) => {
      for (let step = 0; step < this.#options.calmOperations; step++) {
        if (this.#phase === 'calm') await client.step();
      }
    };
    await this.#together(this.#clients.map(use));
  }

  async #useWhileBroken(): Promise<void> {
    this.#phase = 'faults';
    await this.#together([this.#breakThings(), ...this.#clients.map((client) => client.work())]);
  }

  async #breakThings(): Promise<void> {
    const { faultsInRound, kinds, say, signal } = this.#options;
    const breakOne = () => this.#faults.injectOne(this.#random.pick(kinds), say, signal);
    for (let fault = 0; fault < faultsInRound && this.#phase === 'faults' && !signal.aborted; fault++) {
      const isPair = this.#random.chance(SECOND_FAULT_CHANCE);
      const second = isPair ? sleep(SECOND_FAULT_AFTER_MS).then(breakOne) : undefined;
      await Promise.all([breakOne(), second]);
    }
    this.#phase = 'over';
  }

  async #check(): Promise<void> {
    const unanswered = this.#clients.reduce((sum, client) => sum + client.unanswered, 0);
    await this.#checks.all(this.#everyone, { unanswered, mayBeOverLimit: this.#faults.maySeemLost });
    this.#faults.allIsWell();
    for (const client of this.#clients) {
      client.told.splice(0, client.told.length, ...client.told.filter(({ states }) => !states.has('gone')));
    }
  }

  /** Waits for the end of all; if one fails, the others end soon. */
  async #together(work: readonly Promise<void>[]): Promise<void> {
    await Promise.all(work).catch(() => {
      this.#phase = 'over';
    });
    await Promise.allSettled(work);
    await Promise.all(work);
  }
}

/** Waits until each API has sandboxes created. */
async function firstSandboxes(ways: readonly Way[]): Promise<void> {
  for (const way of ways) {
    const create = () => Sandbox.create('base', way);
    const sandbox = await until('a sandbox is created', 60_000, create, () => true);
    await sandbox.kill();
  }
}

function add(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}
