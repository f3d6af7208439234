import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { IsletError, notBrought } from '@islet/contracts';
import type { Exec } from '@islet/host';
import type { SharedStates, SnapshotStore } from '@islet/snapshots';
import type { Logger } from '@islet/telemetry';
import { guestDir } from '../guest/guest.ts';
import type { MachineBase } from '../machine/run.ts';
import type { RootFileSystems } from '../roots/root-file-systems.ts';
import { checkBuild, type TemplateBuild } from '../templates/build.ts';
import { type MovableRecord, readSharedRecord, type SandboxName, sharedRecordOf } from './movable.ts';
import { buildRecord, sandboxRecord, treesOf } from './names.ts';
import { Outgoing } from './outgoing.ts';
import { Trees } from './trees.ts';

export interface ExchangeOptions {
  shared: SharedStates;
  snapshots: SnapshotStore;
  roots: RootFileSystems;
  /** One folder a set of guest files. */
  guestsDir: string;
  /** For what is brought and what is under way. */
  dir: string;
  exec: Exec;
  logger: Logger;
}

/**
 * What a node gives to the other nodes of its installation, and gets from them, through the store that they share: builds and paused
 * sandboxes, with all that these need to start.
 */
export class Exchange implements AsyncDisposable {
  readonly #options: ExchangeOptions;
  readonly #trees: Trees;
  readonly #outgoing: Outgoing;
  readonly #builds = new Map<string, Promise<TemplateBuild | undefined>>();

  private constructor(options: ExchangeOptions, trees: Trees) {
    this.#options = options;
    this.#trees = trees;
    this.#outgoing = new Outgoing(options.logger);
  }

  static async open(options: ExchangeOptions): Promise<Exchange> {
    const workDir = join(options.dir, 'work');
    await rm(workDir, { recursive: true, force: true });
    await mkdir(workDir, { recursive: true, mode: 0o700 });
    const { shared, exec } = options;
    return new Exchange(options, new Trees({ shared, exec, workDir }));
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

  /** Sends a build, behind the caller's back. @param onSent once other nodes could start it */
  sendBuild(build: TemplateBuild, onSent: () => Promise<void>): void {
    this.#outgoing.add(buildRecord(build.buildId), async (signal) => {
      const { guest, rootfs } = build.needs;
      await this.#send({ guest, rootfs }, build.snapshot, signal);
      await this.#options.shared.putRecord(
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

  /** Gets a build that this node does not have, with all that it needs but its saved state, which comes when it is started from. */
  bringBuild(buildId: string): Promise<TemplateBuild | undefined> {
    const underWay = this.#builds.get(buildId);
    if (underWay) return underWay;
    const bringing = this.#bringBuild(buildId).finally(() => this.#builds.delete(buildId));
    this.#builds.set(buildId, bringing);
    return bringing;
  }

  /** Sends a paused sandbox behind the caller's back. @param onSent once another node could take it */
  sendSandbox(record: MovableRecord, onSent: () => Promise<void>): void {
    this.#outgoing.add(sandboxRecord(record.sandbox), this.#errandFor(record, onSent));
  }

  /** As `sendSandbox`, and waits for it. */
  sendSandboxNow(record: MovableRecord, onSent: () => Promise<void>, signal: AbortSignal): Promise<void> {
    return this.#outgoing.done(sandboxRecord(record.sandbox), this.#errandFor(record, onSent), signal);
  }

  /** A paused sandbox went on, or has ended: what was sent of it is nobody's. */
  dropSandbox(sandbox: SandboxName, saved: string): void {
    this.#drop(sandboxRecord(sandbox), saved);
  }

  /** Gets a paused sandbox with all that it needs but its saved state. Undefined if the store does not have that run of it. */
  bringSandbox(sandbox: SandboxName): Promise<MovableRecord | undefined> {
    return asRefusal(async () => {
      const stored = await this.#options.shared.getRecord(sandboxRecord(sandbox));
      const record = stored && readSharedRecord(stored.content, sandbox);
      if (!record) return undefined;
      return (await this.#bring(record.base)) ? record : undefined;
    });
  }

  #errandFor(record: MovableRecord, onSent: () => Promise<void>) {
    const { base, sandbox, saved } = record;
    return async (signal: AbortSignal) => {
      // Gone on before its turn came.
      if (!(await this.#options.snapshots.has(saved))) return;
      await this.#send(base, saved, signal);
      await this.#options.shared.putRecord(
        sandboxRecord(sandbox),
        { state: saved, trees: treesOf(base), content: sharedRecordOf(record) },
        signal,
      );
      await onSent();
    };
  }

  async #bringBuild(buildId: string): Promise<TemplateBuild | undefined> {
    return asRefusal(async () => {
      const stored = await this.#options.shared.getRecord(buildRecord(buildId));
      const build = stored && checkBuild(stored.content);
      if (build?.buildId !== buildId) return undefined;
      return (await this.#bring(build.needs)) ? build : undefined;
    });
  }

  async #send({ guest, rootfs }: MachineBase, state: string, signal: AbortSignal): Promise<void> {
    const { guestsDir, roots, shared, snapshots } = this.#options;
    using _root = roots.hold(rootfs);
    await this.#trees.send('roots', rootfs, roots.dirOf(rootfs), signal);
    await this.#trees.send('guests', guest, guestDir(guestsDir, guest), signal);
    await using snapshot = await snapshots.open(state);
    if (!snapshot) throw new Error(`the saved state ${state} is not here any more`);
    await shared.putState(state, snapshot.dir, signal);
  }

  /** False if the store lacks something. */
  async #bring({ guest, rootfs }: MachineBase): Promise<boolean> {
    const { guestsDir, roots } = this.#options;
    if (!(await this.#trees.bring('guests', guest, guestDir(guestsDir, guest)))) return false;
    if (roots.has(rootfs)) return true;
    const dir = join(this.#rootsDir(), rootfs);
    using _held = roots.hold(rootfs);
    if (!(await this.#trees.bring('roots', rootfs, dir))) return false;
    await roots.add({ digest: rootfs, dir });
    return true;
  }

  #drop(record: string, state: string): void {
    const { shared } = this.#options;
    this.#outgoing.add(record, async (signal) => {
      // Nobody finds the state without the record.
      await shared.deleteRecord(record, signal);
      await shared.deleteState(state, signal);
    });
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
