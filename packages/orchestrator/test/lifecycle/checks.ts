import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { orchestratorProto, type Sandbox } from '@islet/contracts';
import type { SnapshotManifest } from '@islet/snapshots';
import type { Contents } from './guest.ts';
import type { SimulatedHost } from './host.ts';
import { idOf, type SimulatedNode } from './node.ts';

const { SandboxState } = orchestratorProto;

/** A sandbox as it has to be. */
export interface Expected {
  state: 'running' | 'paused';
  file: string;
  memory: string;
}

export interface Looked {
  host: SimulatedHost;
  node: SimulatedNode;
  dataDir: string;
  /** Machines and places that may be kept ready. */
  spare: number;
}

interface StoredRecord {
  sandbox: { state: string; revision?: number };
  run: { machine: { id: string }; slotIndex: number } | null;
  saved?: string;
}

/** What could not be done, and the next node puts right, each with what comes before it. */
export const LASTING = ['nothing', 'a record', 'a machine', 'a folder'] as const;
export type Lasting = (typeof LASTING)[number];

/**
 * What is not as it should be, or belongs to nobody. Of a node at rest there is nothing but what lasts.
 * @param onDisk look at what is on disk, too
 */
export function problemsOf(
  looked: Looked,
  expected: ReadonlyMap<string, Expected>,
  lasting: Lasting,
  onDisk: boolean,
): string[] {
  const { host, node } = looked;
  const listed = node.sandboxes.list();
  const told = [...node.told.values()].map(summary).sort();
  const problems = [
    ...host.violations,
    ...difference('sandboxes', listed.map(idOf).sort(), [...expected.keys()].sort()),
    ...difference('what watchers were told', told, listed.map(summary).sort()),
  ];
  if (problems.length > 0) return problems;
  const slots = new Set<number>();
  const machines = new Set<string>();
  for (const sandbox of listed) {
    const wanted = expected.get(idOf(sandbox)) as Expected;
    problems.push(...difference(`state of ${idOf(sandbox)}`, stateOf(sandbox), wanted.state));
    if (wanted.state !== 'running') continue;
    const slot = host.slotWith(sandbox.address);
    const machine = slot && host.machineIn(slot.slot.netns);
    if (!slot || !machine?.guest) {
      problems.push(`${idOf(sandbox)} runs and no machine does at ${sandbox.address}`);
      continue;
    }
    slots.add(slot.slot.index);
    machines.add(machine.id);
    if (machine.yields) problems.push(`${idOf(sandbox)} yields the processors to others`);
    const mounts = [...(host.mounts.get(machine.id) ?? [])];
    const found = { ...slot.rules, mounts, ...machine.guest.contents };
    problems.push(...differences(idOf(sandbox), found, contentsOf(sandbox, wanted)));
  }
  if (lasting === 'nothing' || lasting === 'a record') problems.push(...leftovers(looked, machines, slots));
  problems.push(...countProblems(looked, expected));
  return onDisk ? [...problems, ...diskProblems(looked, expected, lasting)] : problems;
}

/** What is wrong with the records, the saved states, and the builds. */
function diskProblems(
  { dataDir, node, host, spare }: Looked,
  expected: ReadonlyMap<string, Expected>,
  lasting: Lasting,
): string[] {
  const root = join(dataDir, 'sandboxes');
  const states = statesIn(join(dataDir, 'states'));
  const builds = node.templates.list();
  const referenced = builds.map(({ snapshot }) => snapshot);
  const problems: string[] = [];
  for (const [id, wanted] of expected) {
    const dir = join(root, id);
    const record = JSON.parse(readFileSync(join(dir, 'state.json'), 'utf8')) as StoredRecord;
    // One that could not be written down is found by its sandbox.
    const saved = record.saved ?? states.find((state) => state.id === id)?.digest;
    if (wanted.state === 'paused') {
      problems.push(...savedProblems(join(dataDir, 'states', saved ?? 'none'), id, wanted));
    }
    if (lasting !== 'nothing') continue;
    problems.push(
      ...difference(`${id} has a saved state`, record.saved !== undefined, wanted.state === 'paused'),
    );
    if (record.saved !== undefined) referenced.push(record.saved);
    const stored = record.sandbox.state.replace('SANDBOX_STATE_', '').toLowerCase();
    problems.push(...difference(`state of ${id} on disk`, stored, wanted.state));
    problems.push(...difference(`folder of ${id}`, readdirSync(dir), ['state.json']));
    const runs = record.run !== null && host.machines.get(record.run.machine.id)?.isAlive === true;
    problems.push(...difference(`${id} has a machine on disk`, runs, wanted.state === 'running'));
  }
  if (lasting === 'a folder') return problems;
  const files = builds.map(({ buildId }) => `${buildId}.json`);
  problems.push(...difference('records', readdirSync(root).sort(), [...expected.keys()].sort()));
  problems.push(...difference('builds', readdirSync(join(dataDir, 'templates')).sort(), files.sort()));
  if (lasting === 'nothing') {
    const there = states.map(({ digest }) => digest);
    problems.push(...difference('saved states', there.sort(), referenced.sort()));
  }
  if (lasting === 'a machine') return problems;
  const folders = readdirSync(join(dataDir, 'machines')).filter((id) => !host.machines.has(id));
  if (folders.length > spare) problems.push(`folders of machines that are gone: ${folders.join(', ')}`);
  return problems;
}

/** What is in the store, with the sandbox that each was saved of. */
function statesIn(dir: string): { digest: string; id: string | undefined }[] {
  return readdirSync(dir).map((digest) => {
    const subject = manifestIn(join(dir, digest))?.subject;
    return { digest, id: subject?.kind === 'sandbox' ? subject.sandboxId : undefined };
  });
}

/** Undefined if there is none. It may go while we look: states are removed behind the answers. */
function manifestIn(dir: string): SnapshotManifest | undefined {
  try {
    return JSON.parse(readFileSync(join(dir, 'manifest.json'), 'utf8')) as SnapshotManifest;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function savedProblems(dir: string, id: string, { file, memory }: Expected): string[] {
  const missing = (name: string) => !existsSync(join(dir, name));
  const manifest = manifestIn(dir);
  if (!manifest) return [`${id} is paused without a manifest`];
  const lost = ['finished', 'memory.json', ...Object.keys(manifest.files)].filter(missing);
  if (lost.length > 0) return [`${id} is paused and its saved state has no ${lost.join(', ')}`];
  const { sandboxId, ...contents } = JSON.parse(readFileSync(join(dir, 'memory.json'), 'utf8')) as Contents;
  const found = { file: contents.file, memory: contents.memory, sandboxId };
  return differences(id, found, { file, memory, sandboxId: id });
}

/** What a machine holds, and has, that is a sandbox. */
function contentsOf({ config, executionId }: Sandbox, { file, memory }: Expected) {
  return {
    ...{ denyOut: config.egress?.denyOut, executionId },
    mounts: config.volumeMounts.map(({ volumeId }) => volumeId),
    ...{ file, memory, sandboxId: config.sandboxId, accessToken: config.envdAccessToken },
  };
}

function differences(name: string, found: object, wanted: object): string[] {
  const keys = [...new Set([...Object.keys(found), ...Object.keys(wanted)])] as never[];
  return keys.flatMap((key) => {
    const [a, b] = [found, wanted].map((each) => JSON.stringify(each[key]));
    return a === b ? [] : [`${key} of ${name}: ${a} where it should be ${b}`];
  });
}

/** Machines, slots and mounts that no sandbox owns; `spare` of them may be kept ready. */
function leftovers({ host, spare }: Looked, machines: Set<string>, slots: Set<number>): string[] {
  const without = <T>(all: Iterable<T>, known: ReadonlySet<T>) => [...all].filter((each) => !known.has(each));
  const found = {
    machines: without(host.machines.keys(), machines),
    mounts: without(host.mounts.keys(), machines),
    slots: without(host.slots.keys(), slots),
    held: [...host.held],
  };
  const most = spare > 0 ? spare + 1 : 0; // one more is being made, or freed
  return Object.entries(found).flatMap(([what, left]) =>
    left.length > most ? [`${what} that belong to nobody: ${left.join(', ')}`] : [],
  );
}

function countProblems({ node }: Looked, expected: ReadonlyMap<string, Expected>): string[] {
  const { running, starting } = node.sandboxes.counts();
  const wanted = [...expected.values()].filter(({ state }) => state === 'running').length;
  return [
    ...(running === wanted ? [] : [`${running} sandboxes are counted as running, ${wanted} run`]),
    ...(starting === 0 ? [] : [`${starting} sandboxes are counted as starting, none is`]),
  ];
}

function summary(sandbox: Sandbox): string {
  return `${idOf(sandbox)} ${SandboxState[sandbox.state]} ${sandbox.revision} ${sandbox.executionId}`;
}

function stateOf({ state }: Sandbox): string {
  return (SandboxState[state] ?? '').toLowerCase();
}

function difference(what: string, found: unknown, wanted: unknown): string[] {
  const [a, b] = [found, wanted].map((each) => JSON.stringify(each));
  return a === b ? [] : [`${what}: ${a} where it should be ${b}`];
}
