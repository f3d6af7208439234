import type { Catalog, Sandbox } from '@islet/catalog';
import { orchestratorProto } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { Clock, NodeLink } from '../deps.ts';
import type { SandboxSlots } from '../sandboxes/slots.ts';

export interface NodeSyncOptions {
  node: NodeLink;
  catalog: Catalog;
  slots: SandboxSlots;
  clock: Clock;
  logger: Logger;
}

type WatchEvent = orchestratorProto.WatchSandboxesResponse['event'];

/** A node says something every 20 s; after three silences the connection counts as dead. */
const SILENCE_MS = 60_000;
const FIRST_BACKOFF_MS = 100;
const LONGEST_BACKOFF_MS = 5_000;
/** How long an ended sandbox is remembered, against answers and events that were on their way when it ended. */
const TOMBSTONE_MS = 5 * 60_000;

/** Keeps the catalog and the teams' slots equal to what lives on a node: by its events, and by what its answers tell. */
export class NodeSync {
  readonly #options: NodeSyncOptions;
  /** Monotonic time of the end by sandbox. */
  readonly #tombstones = new Map<string, number>();
  /** Entered by answers since the watch was opened: the snapshot that comes may be older than they are. */
  readonly #fresh = new Set<string>();
  /** Creates that failed for the client, but may have succeeded on the node. */
  readonly #abandoned = new Set<string>();
  readonly #background = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(options: NodeSyncOptions) {
    this.#options = options;
  }

  /** Begins to watch. Resolves with true when the node's first snapshot is in the catalog, or with false after a time. */
  start(timeoutMs: number): Promise<boolean> {
    const { promise, resolve } = deferred<boolean>();
    const timer = setTimeout(resolve, timeoutMs, false);
    this.#loop = this.#run(() => resolve(true));
    return promise.finally(() => clearTimeout(timer));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    await Promise.all(this.#background);
  }

  /** Takes in what a create answered. False: the sandbox has ended since. */
  async admit(sandbox: Sandbox): Promise<boolean> {
    const id = sandbox.config?.sandboxId;
    if (id === undefined || this.#tombstones.has(id)) return false;
    this.#fresh.add(id);
    await this.#put(sandbox);
    return true;
  }

  /** Takes in what a change of a sandbox answered. */
  async update(sandbox: Sandbox): Promise<void> {
    await this.admit(sandbox);
  }

  /** Takes out a sandbox that has ended. */
  async ended(sandboxId: string): Promise<void> {
    const now = this.#options.clock.monotonic();
    for (const [id, at] of this.#tombstones) {
      if (now - at < TOMBSTONE_MS) break;
      this.#tombstones.delete(id);
    }
    this.#tombstones.set(sandboxId, now);
    this.#fresh.delete(sandboxId);
    this.#abandoned.delete(sandboxId);
    this.#options.slots.release(sandboxId);
    await this.#options.catalog.remove(sandboxId);
  }

  /** The client was told that this create failed: ends the sandbox if the node made it all the same. */
  abandon(sandboxId: string): void {
    this.#abandoned.add(sandboxId);
    this.#killOrphan(sandboxId);
  }

  #killOrphan(sandboxId: string): void {
    const { client } = this.#options.node;
    const kill = client
      .killSandbox({ sandboxId, reason: orchestratorProto.KillReason.ORPHANED }, { timeoutMs: 30_000 })
      .then(
        () => this.#options.logger.info({ sandboxId }, 'ended a sandbox whose create had failed'),
        // Not found is the common case; where the node cannot be reached, its next events bring the sandbox back here.
        (error: unknown) =>
          this.#options.logger.debug({ err: error, sandboxId }, 'no sandbox of a failed create'),
      )
      .finally(() => this.#background.delete(kill));
    this.#background.add(kill);
  }

  async #run(onSnapshot: () => void): Promise<void> {
    const { signal } = this.#stop;
    let backoff = FIRST_BACKOFF_MS;
    while (!signal.aborted) {
      try {
        await this.#watch(() => {
          backoff = FIRST_BACKOFF_MS;
          onSnapshot();
        });
      } catch (error) {
        if (signal.aborted) return;
        this.#options.logger.warn({ err: error }, `lost the node's events, asking again in ${backoff} ms`);
      }
      await pause(backoff, signal);
      backoff = Math.min(backoff * 2, LONGEST_BACKOFF_MS);
    }
  }

  async #watch(onSnapshot: () => void): Promise<void> {
    const silent = new AbortController();
    const timer = setTimeout(
      () => silent.abort(new Error(`the node was silent for ${SILENCE_MS} ms`)),
      SILENCE_MS,
    );
    this.#fresh.clear();
    try {
      const signal = AbortSignal.any([this.#stop.signal, silent.signal]);
      for await (const { event } of this.#options.node.client.watchSandboxes({}, { signal })) {
        timer.refresh();
        await this.#take(event);
        if (event.case === 'snapshot') onSnapshot();
      }
    } finally {
      clearTimeout(timer);
    }
  }

  async #take(event: WatchEvent): Promise<void> {
    if (event.case === 'snapshot') await this.#reconcile(event.value.sandboxes);
    if (event.case === 'changed') await this.#changed(event.value);
    if (event.case === 'ended' && event.value.sandbox?.config) {
      await this.ended(event.value.sandbox.config.sandboxId);
    }
  }

  async #changed(sandbox: Sandbox): Promise<void> {
    const id = sandbox.config?.sandboxId;
    if (id === undefined || this.#tombstones.has(id)) return;
    if (this.#abandoned.has(id)) return this.#killOrphan(id);
    await this.#put(sandbox);
  }

  /** Makes the catalog hold what the node has, and nothing else. */
  async #reconcile(sandboxes: Sandbox[]): Promise<void> {
    const { catalog, slots } = this.#options;
    const alive = new Set(this.#fresh);
    for (const sandbox of sandboxes) {
      if (!sandbox.config) continue;
      alive.add(sandbox.config.sandboxId);
      await this.#changed(sandbox);
    }
    for (const { sandbox } of await catalog.listAll()) {
      const id = sandbox.config?.sandboxId;
      if (id !== undefined && !alive.has(id) && !this.#fresh.has(id)) await catalog.remove(id);
    }
    for (const id of this.#fresh) alive.add(id);
    slots.retain(alive);
  }

  async #put(sandbox: Sandbox): Promise<void> {
    const { catalog, slots, node } = this.#options;
    const config = sandbox.config;
    if (!config) return;
    if (!(await catalog.put({ sandbox, route: node.route(sandbox) }))) return;
    // A paused sandbox holds no slot.
    if (sandbox.state === orchestratorProto.SandboxState.PAUSED) slots.release(config.sandboxId);
    else slots.occupy(config.teamId, config.sandboxId);
  }
}

function deferred<T>() {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/** Waits, or returns early where the signal is given. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
