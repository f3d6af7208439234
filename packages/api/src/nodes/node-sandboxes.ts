import { type Route, routeOf } from '@islet/catalog';
import { orchestratorProto, parseSandbox, type Sandbox } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { Clock } from '../deps.ts';
import type { KnownSandboxes } from '../sandboxes/known-sandboxes.ts';
import { Fence } from './fence.ts';
import type { NodeLink } from './link.ts';
import { LiveEntries, type LiveEntriesOptions } from './live-entries.ts';
import type { LossNotes } from './loss-notes.ts';
import type { Moves } from './moves.ts';
import type { PausedRows } from './paused-rows.ts';
import type { Resources } from './placement.ts';
import { Recent } from './recent.ts';

export interface NodeSandboxesOptions extends LiveEntriesOptions {
  link: NodeLink;
  /** Of all nodes. */
  sandboxes: KnownSandboxes;
  rows: Pick<PausedRows, 'paused' | 'gone' | 'reported' | 'on'>;
  losses: Pick<LossNotes, 'note'>;
  moves: Pick<Moves, 'from' | 'freed'>;
  clock: Clock;
  logger: Logger;
}

/** How long an ended sandbox is remembered, against answers and events that were on their way when it ended. */
const REMEMBERED_MS = 5 * 60_000;
const KILL_TIMEOUT_MS = 30_000;
/**
 * How long a route outlives its sandbox's end, ms, and how long one to a sandbox that has none lives without being renewed: what
 * a node that is gone for good leaves behind goes with it.
 */
const ROUTE_LEASE_MS = 86_400_000;
/** How often routes are renewed, ms. */
export const ROUTE_RENEWAL_MS = ROUTE_LEASE_MS / 3;
/** Routes to sandboxes without an end end at the same time, whoever writes them: what each says anew is no news then. */
const ROUTE_GRAIN_MS = 3_600_000;
const NOTHING: Resources = { cpuCount: 0, memoryMb: 0 };

/** What a node says of all that lives on it. */
type Report = Pick<orchestratorProto.ListSandboxesResponse, 'sandboxes' | 'asOfMs'>;

interface Known extends Resources {
  teamId: string;
}

/**
 * What is known to live on one node, by its reports, its events and its answers. The routes and the teams' places follow
 * it; what other nodes told is theirs.
 */
export class NodeSandboxes {
  readonly #options: NodeSandboxesOptions;
  readonly #live: LiveEntries;
  /** Whose each sandbox is, and what it takes. */
  readonly #known = new Map<string, Known>();
  readonly #taken: Resources = { ...NOTHING };
  /** With the team that each was of, if it was known. */
  readonly #tombstones: Recent<string | undefined>;
  /** Entered by answers since the watch was opened: the report that comes may be older than they are. */
  readonly #fresh = new Set<string>();
  /** Creates that failed for the client, but may have succeeded on the node. */
  readonly #abandoned: Recent<true>;
  readonly #background = new Set<Promise<void>>();
  readonly #fence: Fence;
  /** Unix milliseconds. */
  #renewedAt: number;

  constructor(options: NodeSandboxesOptions) {
    this.#options = options;
    this.#live = new LiveEntries(options);
    this.#fence = new Fence(options, (message) => this.changed(message));
    this.#renewedAt = options.clock.now();
    this.#tombstones = new Recent(options.clock, REMEMBERED_MS);
    this.#abandoned = new Recent(options.clock, REMEMBERED_MS);
  }

  /** What those take that are not paused, or only to be moved. */
  get taken(): Readonly<Resources> {
    return this.#taken;
  }

  /** Whether a sandbox of the team has ended here in the last minutes. */
  hasLatelyEnded(teamId: string, sandboxId: string): boolean {
    return this.#tombstones.get(sandboxId) === teamId;
  }

  /** Waits for what is under way behind the calls. */
  async settled(): Promise<void> {
    await Promise.all([...this.#background, this.#fence.settled()]);
  }

  /** The next report is made from now on. */
  async expectReport(): Promise<void> {
    this.#fresh.clear();
    await this.#fence.expectReport();
    await this.#live.expectReport();
  }

  /** Whether it would be of use to write what others share. */
  storeAnswers(): Promise<boolean> {
    return this.#live.answers();
  }

  /**
   * Makes known what a report says, and forgets what it does not name, before it returns. A report that is not whole takes
   * nothing away: what it leaves out may live.
   * @returns resolves when what others share is written: false if some of it could not be
   */
  reconcile({ sandboxes: report, asOfMs }: Report): Promise<boolean> {
    const { nodeId, rows, sandboxes: all, logger } = this.#options;
    const sandboxes = report.map(parseSandbox);
    const written: Promise<void>[] = [];
    const reported = new Set<string>();
    this.#fence.reported(report);
    for (const sandbox of sandboxes) {
      if (!sandbox) continue;
      reported.add(sandbox.config.sandboxId);
      written.push(this.#take(sandbox, { isReport: true }));
    }
    if (reported.size < sandboxes.length) {
      logger.error('the report of a node names sandboxes without their config: nothing is removed');
      return Promise.all(written).then(() => true);
    }
    for (const id of [...this.#known.keys()]) {
      if (!reported.has(id) && !this.#fresh.has(id)) written.push(this.#forget(id));
    }
    rows.reported(nodeId, all.onNode(nodeId).filter(isPaused), this.#isShared ? asOfMs : undefined);
    // Of sandboxes that this control plane never knew, too.
    return this.#live.reconcile(new Set([...reported, ...this.#fresh]), written);
  }

  /** Takes in what was written down of sandboxes that are paused here, which the node has not told yet. */
  async recall(paused: readonly Sandbox[]): Promise<void> {
    const { sandboxes } = this.#options;
    const unknown = paused.filter(({ config }) => !sandboxes.get(config.sandboxId));
    await Promise.all(unknown.map((sandbox) => this.#take(sandbox, { isReport: true })));
  }

  /** Takes in what an event says. */
  async changed(message: orchestratorProto.Sandbox): Promise<void> {
    const sandbox = parseSandbox(message);
    if (sandbox) await this.#take(sandbox, { isReport: false });
  }

  /** Takes in what the answer to a call says. Undefined if it names no sandbox, or one that has ended since. */
  async admit(message: orchestratorProto.Sandbox | undefined): Promise<Sandbox | undefined> {
    const sandbox = message && parseSandbox(message);
    if (!sandbox || this.#tombstones.has(sandbox.config.sandboxId)) return undefined;
    this.#fresh.add(sandbox.config.sandboxId);
    // It is back.
    this.#fence.delete(sandbox.config.sandboxId);
    await this.#put(sandbox, { isReport: false });
    return sandbox;
  }

  /**
   * A run of a sandbox is here no more, since another node has taken it over. It may come back at any time, so nothing that is told of
   * it later is too late.
   */
  async left(sandboxId: string, executionId: string): Promise<void> {
    this.#fence.delete(sandboxId);
    const { nodeId, sandboxes } = this.#options;
    const known = sandboxes.get(sandboxId);
    if (known?.nodeId === nodeId) {
      // It is back.
      if (known.executionId !== executionId) return;
      if (isPaused(known)) this.#gone(known);
      sandboxes.remove(sandboxId);
    }
    await this.#uncount(sandboxId);
  }

  /** Takes out a sandbox that has ended. @param executionId its last run, if the node has said so */
  async ended(sandboxId: string, executionId?: string): Promise<void> {
    // It lives on elsewhere.
    if (this.#fence.delete(sandboxId)) return;
    this.#tombstones.add(sandboxId, this.#known.get(sandboxId)?.teamId ?? this.#tombstones.get(sandboxId));
    const { nodeId, sandboxes } = this.#options;
    const known = sandboxes.get(sandboxId);
    if (known?.nodeId === nodeId && isPaused(known)) this.#gone(known);
    await this.#forget(sandboxId, executionId);
  }

  /**
   * Renews, if it is time to, the routes that would expire though their sandboxes have no end, or are still there behind it, and
   * the places.
   * To be called every minute or so: while the machine sleeps, routes grow old and no timer goes on.
   */
  async renew(): Promise<void> {
    const { nodeId, clock, sandboxes } = this.#options;
    const now = clock.now();
    if (now - this.#renewedAt < ROUTE_RENEWAL_MS) return;
    this.#renewedAt = now;
    const soon = now + ROUTE_RENEWAL_MS;
    for (const sandbox of sandboxes.onNode(nodeId)) {
      const isStillSo = sandboxes.get(sandbox.config.sandboxId) === sandbox;
      if (isStillSo && (sandbox.endAtMs < soon || !takesNothing(sandbox))) await this.#share(sandbox);
    }
  }

  /**
   * Forgets what ran: the node is silent. What it has paused stays; the node's next report brings back what is there all the same.
   * @param sinceMs when it was lost, Unix ms
   */
  async lose(sinceMs: number): Promise<void> {
    const { nodeId, losses, sandboxes } = this.#options;
    const lost = sandboxes.onNode(nodeId).filter((sandbox) => !isPaused(sandbox));
    losses.note(lost, sinceMs);
    for (const { config } of lost) sandboxes.remove(config.sandboxId);
    const isGone = (id: string) => sandboxes.get(id)?.nodeId !== nodeId;
    await Promise.all([
      ...[...this.#known.keys()].filter(isGone).map((id) => this.#uncount(id)),
      ...lost.map(({ config, executionId }) => this.#live.removeRoute(config.sandboxId, executionId)),
    ]);
  }

  /**
   * Removes the ways to what ran on a node that is lost, and its places, also those that only other control planes know of.
   * @throws what the database or the stores throw: not all is removed then
   */
  async sweep(): Promise<void> {
    const { nodeId, rows, sandboxes } = this.#options;
    await this.#live.dropAllBut(async () => {
      const written = await rows.on(nodeId);
      const paused = sandboxes.onNode(nodeId).filter(isPaused);
      return new Set([...written, ...paused.map(({ config }) => config.sandboxId)]);
    });
  }

  /** Forgets all: the node is no more. */
  async clear(): Promise<void> {
    for (const id of [...this.#known.keys()]) await this.#forget(id);
  }

  /** The client was told that this create failed: ends the sandbox if the node made it all the same. */
  abandon(sandboxId: string): void {
    this.#abandoned.add(sandboxId, true);
    this.#killOrphan(sandboxId);
  }

  #killOrphan(sandboxId: string): void {
    const { link, logger } = this.#options;
    const { ORPHANED } = orchestratorProto.KillReason;
    const kill = link.sandboxes
      .killSandbox({ sandboxId, reason: ORPHANED }, { timeoutMs: KILL_TIMEOUT_MS })
      .then(
        () => logger.info({ sandboxId }, 'ended a sandbox whose create had failed'),
        // Not found is the common case; where the node cannot be reached, its next events bring the sandbox back here.
        (error: unknown) => logger.debug({ err: error, sandboxId }, 'no sandbox of a failed create'),
      )
      .finally(() => this.#background.delete(kill));
    this.#background.add(kill);
  }

  async #take(sandbox: Sandbox, { isReport }: { isReport: boolean }): Promise<void> {
    const id = sandbox.config.sandboxId;
    if (this.#tombstones.has(id) || this.#fence.has(id)) return;
    if (this.#abandoned.has(id)) return this.#killOrphan(id);
    await this.#put(sandbox, { isReport });
  }

  /** Where it is paused, if that has changed. */
  #writeDown(sandbox: Sandbox, before: Sandbox | undefined): void {
    const { nodeId, rows } = this.#options;
    const wasPaused = before?.nodeId === nodeId && isPaused(before);
    if (isPaused(sandbox) && !wasPaused) rows.paused(sandbox);
    else if (wasPaused && !isPaused(sandbox)) this.#gone(before);
  }

  /** A paused run of this node is over. */
  #gone(paused: Sandbox): void {
    // What is stopped to be moved has its end in the future, and is never taken for what nobody has heard of.
    const heardUntil = this.#isShared && !paused.moving ? paused.endAtMs : undefined;
    this.#options.rows.gone(paused, heardUntil);
  }

  /** There are, or may be, nodes that get from each other what they lack. */
  get #isShared(): boolean {
    return this.#options.link.peer !== undefined;
  }

  /** @param isReport all of the node's rows are made right at its end */
  async #put(sandbox: Sandbox, { isReport }: { isReport: boolean }): Promise<void> {
    const { nodeId, sandboxes } = this.#options;
    // It is where its report came from, whatever it says.
    sandbox.nodeId = nodeId;
    const before = sandboxes.get(sandbox.config.sandboxId);
    if (!sandboxes.put(sandbox)) {
      // Whoever waits for this to be written waits for what is later: another control plane reads that.
      if (before?.nodeId === nodeId && !isReport) await this.#share(before);
      return;
    }
    if (!isReport) this.#writeDown(sandbox, before);
    const { sandboxId, teamId } = sandbox.config;
    this.#count(sandboxId, teamId, takesNothing(sandbox) ? NOTHING : sandbox.config);
    await this.#share(sandbox);
  }

  #share(sandbox: Sandbox): Promise<void> {
    const { teamId, sandboxId } = sandbox.config;
    return this.#live.put(this.#routeTo(sandbox), { teamId, sandboxId }, { holds: !takesNothing(sandbox) });
  }

  #routeTo(sandbox: Sandbox): Route {
    const { nodeId, link, clock } = this.#options;
    const now = clock.now();
    const endMs = sandbox.endAtMs > now ? sandbox.endAtMs : Math.ceil(now / ROUTE_GRAIN_MS) * ROUTE_GRAIN_MS;
    return routeOf(sandbox, {
      nodeId,
      proxyAddress: link.proxyAddress,
      expiresAtMs: endMs + ROUTE_LEASE_MS,
    });
  }

  async #forget(sandboxId: string, executionId?: string): Promise<void> {
    const { nodeId, sandboxes } = this.#options;
    const writes = [this.#uncount(sandboxId)];
    const known = sandboxes.get(sandboxId);
    // It may live on elsewhere.
    const isHere = known?.nodeId === nodeId;
    if (isHere) sandboxes.remove(sandboxId);
    const run = executionId ?? (isHere ? known.executionId : undefined);
    if (run !== undefined) writes.push(this.#live.removeRoute(sandboxId, run));
    await Promise.all(writes);
  }

  /** It takes nothing here any more; its team's place may be another node's by now. */
  async #uncount(sandboxId: string): Promise<void> {
    this.#fresh.delete(sandboxId);
    this.#abandoned.delete(sandboxId);
    const counted = this.#known.get(sandboxId);
    if (!counted) return;
    this.#count(sandboxId, counted.teamId, NOTHING);
    this.#known.delete(sandboxId);
    await this.#live.release({ teamId: counted.teamId, sandboxId });
  }

  #count(sandboxId: string, teamId: string, { cpuCount, memoryMb }: Resources): void {
    const before = this.#known.get(sandboxId) ?? NOTHING;
    this.#known.set(sandboxId, { teamId, cpuCount, memoryMb });
    this.#taken.cpuCount += cpuCount - before.cpuCount;
    this.#taken.memoryMb += memoryMb - before.memoryMb;
  }
}

/** Saved, and nothing of it runs. */
function isPaused({ state }: Sandbox): boolean {
  return state === orchestratorProto.SandboxState.PAUSED;
}

/** One that is being moved keeps its place: it is about to run again, here or at another node. */
function takesNothing(sandbox: Sandbox): boolean {
  return isPaused(sandbox) && !sandbox.moving;
}
