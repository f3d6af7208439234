import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { IsletError, noStore, notBrought } from '@islet/contracts';
import { type Exec, exists } from '@islet/host';
import {
  type CachedSnapshots,
  type ObjectSource,
  type ObjectStore,
  OfferedStates,
  ReadableStates,
  SharedStates,
  type SnapshotStore,
  type TreeArchive,
} from '@islet/snapshots';
import type { Logger } from '@islet/telemetry';
import { guestDir } from '../guest/guest.ts';
import type { MachineBase } from '../machine/run.ts';
import type { RootFileSystems } from '../roots/root-file-systems.ts';
import { checkBuild, type TemplateBuild } from '../templates/build.ts';
import { type MovableRecord, readSharedRecord, type SandboxName, sharedRecordOf } from './movable.ts';
import { buildRecord, sandboxRecord, treesOf } from './names.ts';
import { type Offered, offeredRecord } from './offers.ts';
import { Outgoing } from './outgoing.ts';
import type { PeerNode } from './peer-objects.ts';
import { dropRecord } from './stored.ts';
import { readTreeName, Trees } from './trees.ts';

/** How long what another node takes over is not sent to the store, ms: longer than it may take to say that it has it. */
const TAKING_OVER_MS = 120_000;

export interface ExchangeOptions {
  /** What all nodes share; undefined: they give each other what they have, and nothing else has it. */
  store: ObjectStore | undefined;
  /** What another node has; for one transfer. */
  connect: (peer: PeerNode) => ObjectSource;
  snapshots: CachedSnapshots;
  /** Of this machine alone. */
  local: SnapshotStore;
  roots: RootFileSystems;
  /** One folder a set of guest files. */
  guestsDir: string;
  /** For what is brought and what is under way. */
  dir: string;
  exec: Exec;
  logger: Logger;
}

/**
 * What a node gives to the other nodes of its installation, and gets from them, through the store that they share or from node to
 * node: builds and paused sandboxes, with all that these need to start.
 */
export class Exchange implements AsyncDisposable {
  readonly #options: ExchangeOptions;
  readonly #trees: Trees;
  readonly #outgoing: Outgoing;
  readonly #shared: SharedStates | undefined;
  readonly #builds = new Map<string, Promise<TemplateBuild | undefined>>();
  readonly #roots = new Map<string, Promise<boolean>>();

  private constructor(options: ExchangeOptions, trees: Trees) {
    this.#options = options;
    this.#trees = trees;
    this.#outgoing = new Outgoing(options.logger);
    this.#shared = options.store && new SharedStates(options.store);
  }

  /** Whether anything is ever sent. */
  get hasStore(): boolean {
    return this.#shared !== undefined;
  }

  static async open(options: ExchangeOptions): Promise<Exchange> {
    const workDir = join(options.dir, 'work');
    await rm(workDir, { recursive: true, force: true });
    await mkdir(workDir, { recursive: true, mode: 0o700 });
    return new Exchange(options, new Trees({ exec: options.exec, workDir }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#outgoing.close();
  }

  /** Removes what was brought and is used no more. Nothing may be brought meanwhile. */
  async removeUnused(bases: Iterable<Pick<MachineBase, 'rootfs'>>): Promise<void> {
    const used = new Set([...bases].map(({ rootfs }) => rootfs));
    const names = await readdir(this.#rootsDir()).catch(() => []);
    for (const name of names.filter((each) => !used.has(each))) {
      const dir = join(this.#rootsDir(), name);
      await this.#options.roots.forget({ digest: name, dir });
      await rm(dir, { recursive: true, force: true });
    }
  }

  /** What other nodes may read of this one. */
  offer(offered: Offered): OfferedStates {
    return new OfferedStates({
      name: 'this node',
      snapshots: this.#options.local,
      archiveOf: (name) => this.#archiveOf(name),
      recordOf: (name) =>
        offeredRecord(
          {
            build: (buildId) => offered.build(buildId),
            sandbox: async (sandboxId, executionId) => {
              const sandbox = { config: { sandboxId }, executionId };
              if (!(await offered.sandbox(sandboxId, executionId))) return undefined;
              // Whoever takes it over sends it, or takes back what was sent.
              await this.#outgoing.hold(sandboxRecord(sandbox), TAKING_OVER_MS);
              return offered.sandbox(sandboxId, executionId);
            },
          },
          name,
        ),
    });
  }

  /** Sends a build, behind the caller's back. @param onSent once other nodes could start it */
  sendBuild(build: TemplateBuild, onSent: () => Promise<void>): void {
    const shared = this.#shared;
    if (!shared) return;
    this.#outgoing.add(buildRecord(build.buildId), async (signal) => {
      const { guest, rootfs } = build.needs;
      await this.#send(shared, { guest, rootfs }, build.snapshot, signal);
      await shared.putRecord(
        buildRecord(build.buildId),
        { state: build.snapshot, trees: treesOf({ guest, rootfs }), content: build },
        signal,
      );
      await onSent();
    });
  }

  /** Takes a build away from all nodes, behind the caller's back. */
  dropBuild({ buildId, snapshot }: TemplateBuild): void {
    this.#drop(buildRecord(buildId), snapshot);
  }

  /**
   * Gets a build that this node does not have, with all that it needs; its saved state comes from the store when it is started from.
   * @param peer has it, as far as is known
   */
  bringBuild(buildId: string, peer?: PeerNode): Promise<TemplateBuild | undefined> {
    const underWay = this.#builds.get(buildId);
    if (underWay) return underWay;
    const bringing = this.#bringBuild(buildId, peer).finally(() => this.#builds.delete(buildId));
    this.#builds.set(buildId, bringing);
    return bringing;
  }

  /** Has the store get what a machine of this node stands on. @throws IsletError 409 if there is none; the signal's reason */
  async sendBase(base: MachineBase, signal: AbortSignal): Promise<void> {
    if (!this.#shared) throw noStore();
    await this.#sendBase(this.#shared, base, signal);
  }

  /** Gets what a machine of another node stands on. @throws IsletError 503 if neither the peer nor the store gives it now */
  bringBase(base: MachineBase, peer?: PeerNode): Promise<void> {
    return asRefusal(async () => {
      if (!(await this.#bring(this.#sourceOf(peer), base, undefined))) throw new Error('nobody has it');
    });
  }

  /** Sends a paused sandbox behind the caller's back. @param onSent once another node could take it */
  sendSandbox(record: MovableRecord, onSent: () => Promise<void>): void {
    const shared = this.#shared;
    if (!shared) return;
    this.#outgoing.add(sandboxRecord(record.sandbox), this.#errandFor(shared, record, onSent));
  }

  /** As `sendSandbox`, and waits for it. */
  async sendSandboxNow(
    record: MovableRecord,
    onSent: () => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const shared = this.#shared;
    if (!shared) return;
    const errand = this.#errandFor(shared, record, onSent);
    await this.#outgoing.done(sandboxRecord(record.sandbox), errand, signal);
  }

  /** A paused sandbox went on, or has ended: what was sent of it is nobody's. */
  dropSandbox(sandbox: SandboxName, saved: string): void {
    this.#drop(sandboxRecord(sandbox), saved);
  }

  /**
   * Gets a paused sandbox with all that it needs; from the store, its saved state comes when it is started from. Undefined if neither
   * the peer nor the store has that run of it.
   */
  bringSandbox(sandbox: SandboxName, peer?: PeerNode): Promise<MovableRecord | undefined> {
    return asRefusal(async () => {
      const source = this.#sourceOf(peer);
      const stored = await source.getRecord(sandboxRecord(sandbox));
      const record = stored && readSharedRecord(stored.content, sandbox);
      if (!record) return undefined;
      return (await this.#bring(source, record.base, peer && record.saved)) ? record : undefined;
    });
  }

  /** Frees what was brought of a sandbox that could not be taken over. */
  async leaveSandbox({ saved }: MovableRecord): Promise<void> {
    await this.#options.local.delete(saved);
  }

  /** The node that has it comes first: it is the nearest, and knows of what the store may not have yet. */
  #sourceOf(peer: PeerNode | undefined): ReadableStates {
    const { connect, store } = this.#options;
    return new ReadableStates([...(peer ? [connect(peer)] : []), ...(store ? [store] : [])]);
  }

  #errandFor(shared: SharedStates, record: MovableRecord, onSent: () => Promise<void>) {
    const { base, sandbox, saved } = record;
    return async (signal: AbortSignal) => {
      // Gone on before its turn came.
      if (!(await this.#options.snapshots.has(saved))) return;
      await this.#send(shared, base, saved, signal);
      await shared.putRecord(
        sandboxRecord(sandbox),
        { state: saved, trees: treesOf(base), content: sharedRecordOf(record) },
        signal,
      );
      await onSent();
    };
  }

  async #bringBuild(buildId: string, peer: PeerNode | undefined): Promise<TemplateBuild | undefined> {
    return asRefusal(async () => {
      const source = this.#sourceOf(peer);
      const stored = await source.getRecord(buildRecord(buildId));
      const build = stored && checkBuild(stored.content);
      if (build?.buildId !== buildId) return undefined;
      return (await this.#bring(source, build.needs, peer && build.snapshot)) ? build : undefined;
    });
  }

  async #send(shared: SharedStates, base: MachineBase, state: string, signal: AbortSignal): Promise<void> {
    await this.#sendBase(shared, base, signal);
    await using snapshot = await this.#options.snapshots.open(state);
    if (!snapshot) throw new Error(`the saved state ${state} is not here any more`);
    await shared.putState(state, snapshot.dir, signal);
  }

  async #sendBase(shared: SharedStates, { guest, rootfs }: MachineBase, signal: AbortSignal): Promise<void> {
    const { guestsDir, roots } = this.#options;
    using _root = roots.hold(rootfs);
    await this.#trees.send(shared, { kind: 'roots', digest: rootfs, dir: roots.dirOf(rootfs) }, signal);
    await this.#trees.send(
      shared,
      { kind: 'guests', digest: guest, dir: guestDir(guestsDir, guest) },
      signal,
    );
  }

  /** False if no source has something. @param state comes now, too */
  async #bring(
    source: ReadableStates,
    { guest, rootfs }: MachineBase,
    state: string | undefined,
  ): Promise<boolean> {
    const { guestsDir, roots, snapshots } = this.#options;
    const guestFiles = { kind: 'guests', digest: guest, dir: guestDir(guestsDir, guest) } as const;
    if (!(await this.#trees.bring(source, guestFiles))) return false;
    using _held = roots.hold(rootfs);
    if (!(await this.#bringRoot(source, rootfs))) return false;
    return state === undefined || snapshots.bring(state, source);
  }

  #bringRoot(source: ReadableStates, digest: string): Promise<boolean> {
    const underWay = this.#roots.get(digest);
    if (underWay) return underWay;
    const { roots } = this.#options;
    const dir = join(this.#rootsDir(), digest);
    const bring = async () => {
      if (roots.has(digest)) return true;
      if (!(await this.#trees.bring(source, { kind: 'roots', digest, dir }))) return false;
      await roots.add({ digest, dir });
      return true;
    };
    const bringing = bring().finally(() => this.#roots.delete(digest));
    this.#roots.set(digest, bringing);
    return bringing;
  }

  /** A tree of this machine, packed for others. */
  async #archiveOf(name: string): Promise<TreeArchive | undefined> {
    const { guestsDir, roots } = this.#options;
    const tree = readTreeName(name);
    if (tree?.kind === 'guests') {
      const dir = guestDir(guestsDir, tree.digest);
      return (await exists(dir)) ? this.#trees.pack(dir) : undefined;
    }
    if (!tree || !roots.has(tree.digest)) return undefined;
    using _held = roots.hold(tree.digest);
    return await this.#trees.pack(roots.dirOf(tree.digest));
  }

  #drop(record: string, state: string): void {
    const shared = this.#shared;
    if (!shared) return;
    this.#outgoing.add(record, (signal) => dropRecord(shared, { record, state }, signal));
  }

  #rootsDir(): string {
    return join(this.#options.dir, 'roots');
  }
}

/** That something cannot be brought now says nothing of the node next to this one. */
async function asRefusal<T>(bring: () => Promise<T>): Promise<T> {
  try {
    return await bring();
  } catch (error) {
    if (error instanceof IsletError) throw error;
    throw notBrought(error);
  }
}
