import type { Notices } from '@islet/catalog';
import { nodeStatusRefused } from '@islet/contracts';
import { type Database, listStandings, type Standing, setStanding } from '@islet/db';
import type { Logger } from '@islet/telemetry';
import type { Clock } from '../deps.ts';
import { Looks } from '../looks.ts';

export interface NodeStandingsOptions {
  db: Database;
  /** Of all control planes of the installation. */
  notices: Notices;
  clock: Clock;
  logger: Logger;
  /** From one look at the database to the next, ms. */
  lookMs?: number;
}

/** From one look at what other APIs have written to the next, ms. */
const LOOK_MS = 2_000;

/** What operators said of nodes: on those that are not ready, nothing new is started. */
export class NodeStandings implements AsyncDisposable {
  readonly #options: NodeStandingsOptions;
  #known: ReadonlyMap<string, Standing> = new Map();
  #timer: NodeJS.Timeout | undefined;
  readonly #looks = new Looks(() =>
    this.#look().catch((error: unknown) =>
      this.#options.logger.warn({ err: error }, 'the standings of nodes cannot be read; they stay as known'),
    ),
  );
  #unwatch: () => void = () => undefined;

  constructor(options: NodeStandingsOptions) {
    this.#options = options;
  }

  /** Reads them, and follows what other APIs say if they can. */
  async start(): Promise<void> {
    await this.#look();
    // An embedded database is this process's alone.
    if (this.#options.db.kind === 'pglite') return;
    const look = () => void this.#looks.ask();
    this.#unwatch = this.#options.notices.watch('standings', look);
    this.#timer = setInterval(look, this.#options.lookMs ?? LOOK_MS).unref();
  }

  of(nodeId: string): Standing {
    return this.#known.get(nodeId) ?? 'ready';
  }

  /** @throws IsletError 409 if a node that is being drained is to stand by */
  async set(nodeId: string, standing: Standing): Promise<void> {
    const { db, clock } = this.#options;
    const isSet = await setStanding(db, { nodeId, standing, changedAt: new Date(clock.now()) });
    if (!isSet) throw nodeStatusRefused('draining', standing);
    this.#known = new Map([...this.#known, [nodeId, standing]]);
    await this.#options.notices.tell('standings');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#unwatch();
    await this.#looks.settled();
  }

  async #look(): Promise<void> {
    const listed = await listStandings(this.#options.db);
    this.#known = new Map(listed.map(({ nodeId, standing }) => [nodeId, standing]));
  }
}
