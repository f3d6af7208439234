import { readdir, readFile, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { clone } from '@bufbuild/protobuf';
import { orchestratorProto, type Sandbox } from '@islet/contracts';
import { assertIntact, DamagedSnapshotError } from '@islet/driver';
import { bytesIn, type Exec } from '@islet/host';
import { readSealed, type SharedStates } from '@islet/snapshots';
import { guestDir } from '../guest/guest.ts';
import type { MachineBase } from '../machine/run.ts';
import { RecordStore } from '../sandbox/record.ts';
import { parseBuild, type TemplateBuild } from '../templates/build.ts';
import { sharedRecordOf } from './movable.ts';
import { buildRecord, sandboxRecord, treesOf } from './names.ts';
import { Trees } from './trees.ts';

const SUFFIX = '.json';

/** A build or a paused sandbox on the disk of a node that does not run. */
export interface RestingState {
  kind: 'build' | 'sandbox';
  id: string;
  /** What the store calls its record. */
  record: string;
  /** Digest of its saved state. */
  state: string;
  /** What the saved state takes on disk. */
  bytes: number;
  /** What it needs besides. */
  base: MachineBase;
  /** What the record says. */
  content: unknown;
}

/** What a node that does not run has on its disk. */
export interface Resting {
  states: RestingState[];
  /** What no other node can take over. */
  staying: {
    /** Ids of paused sandboxes that mount volumes. */
    withVolumes: string[];
    /** Ids of sandboxes that went on without their node, and that it takes over when it starts. */
    running: string[];
  };
  /** Of an earlier version, or damaged: names in the data directory. */
  unread: string[];
}

/** Reads what the data directory of a node that does not run has; nothing of it is changed. */
export async function readRestingNode(dataDir: string): Promise<Resting> {
  const resting: Resting = { states: [], staying: { withVolumes: [], running: [] }, unread: [] };
  const add = async (state: Omit<RestingState, 'bytes'>) => {
    resting.states.push({ ...state, bytes: await bytesIn([stateDir(dataDir, state.state)], []) });
  };
  for (const [name, build] of await readBuilds(join(dataDir, 'templates'))) {
    if (build) await add(ofBuild(build));
    else resting.unread.push(join('templates', name));
  }
  for (const [id, record] of await new RecordStore(join(dataDir, 'sandboxes')).readAll()) {
    if (!record) resting.unread.push(join('sandboxes', id));
    else if (record.run || record.saved === undefined) resting.staying.running.push(id);
    else if (record.sandbox.config.volumeMounts.length > 0) resting.staying.withVolumes.push(id);
    else await add(ofSandbox(record.sandbox, record.base, record.saved));
  }
  return resting;
}

export interface RestingSenderOptions {
  /** Of a node that does not run; it is only read. */
  dataDir: string;
  shared: SharedStates;
  exec: Exec;
  /** For archives under way. */
  workDir: string;
}

/** Brings what is on the disk of a node that does not run into a store, from which other nodes go on with it. */
export class RestingSender {
  readonly #options: RestingSenderOptions;
  readonly #trees: Trees;
  /** Keys of objects that the store has. */
  readonly #found = new Set<string>();

  constructor(options: RestingSenderOptions) {
    this.#options = options;
    this.#trees = new Trees(options);
  }

  /**
   * Puts all of it that the store does not have.
   * @throws DamagedSnapshotError if its files are not what was written
   */
  async send({ base, state, record, content }: RestingState, signal: AbortSignal): Promise<void> {
    const { dataDir, shared } = this.#options;
    const root = await find(join(dataDir, 'roots', base.rootfs), 'root file system');
    const guest = await find(guestDir(join(dataDir, 'guest'), base.guest), 'set of guest files');
    await this.#trees.send(shared, { kind: 'roots', digest: base.rootfs, dir: root }, signal);
    await this.#trees.send(shared, { kind: 'guests', digest: base.guest, dir: guest }, signal);
    if (!(await shared.hasState(state, signal))) {
      const dir = stateDir(dataDir, state);
      const sealed = await readSealed(dir);
      if (sealed?.digest !== state) {
        throw new DamagedSnapshotError(`the saved state ${state} is not on this machine`);
      }
      await assertIntact(dir, sealed.manifest.files);
      await shared.putState(state, dir, signal);
    }
    await shared.putRecord(record, { state, trees: treesOf(base), content }, signal);
  }

  /**
   * Makes sure that the store has all of it.
   * @throws DamagedSnapshotError naming what is missing
   */
  async check({ base, state, record }: RestingState, signal: AbortSignal): Promise<void> {
    const { shared } = this.#options;
    const stored = await shared.getRecord(record, signal);
    if (stored?.state !== state) throw new DamagedSnapshotError(`the store lacks the record ${record}`);
    await shared.assertState(state, this.#found, signal);
    for (const tree of treesOf(base)) await shared.assertTree(tree, this.#found, signal);
  }
}

/** By the name of its file; undefined if that is no build that this version reads. */
async function readBuilds(dir: string): Promise<Map<string, TemplateBuild | undefined>> {
  const builds = new Map<string, TemplateBuild | undefined>();
  for (const name of await readdir(dir).catch(() => [])) {
    if (name.startsWith('.')) continue;
    const build = name.endsWith(SUFFIX) ? parseBuild(await readFile(join(dir, name), 'utf8')) : undefined;
    builds.set(name, build?.buildId === name.slice(0, -SUFFIX.length) ? build : undefined);
  }
  return builds;
}

function ofBuild({ stored: _, ...build }: TemplateBuild): Omit<RestingState, 'bytes'> {
  const { buildId, needs, snapshot } = build;
  const base = { guest: needs.guest, rootfs: needs.rootfs };
  return { kind: 'build', id: buildId, record: buildRecord(buildId), state: snapshot, base, content: build };
}

/** As `Departures` sends it: with what it will say of itself when the store has it. */
function ofSandbox(found: Sandbox, base: MachineBase, saved: string): Omit<RestingState, 'bytes'> {
  const copy = clone(orchestratorProto.SandboxSchema, found) as Sandbox;
  const sandbox = Object.assign(copy, { stored: true, revision: found.revision + 1 });
  const content = sharedRecordOf({ sandbox, base, saved });
  const { sandboxId: id } = sandbox.config;
  return { kind: 'sandbox', id, record: sandboxRecord(sandbox), state: saved, base, content };
}

function stateDir(dataDir: string, digest: string): string {
  return join(dataDir, 'states', digest);
}

/** Where something is that a saved state needs. @throws DamagedSnapshotError if it is gone */
function find(path: string, what: string): Promise<string> {
  return realpath(path).catch((cause: unknown) => {
    throw new DamagedSnapshotError(`the ${what} ${basename(path)} is not on this machine`, { cause });
  });
}
