import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ControlPlane, ListedBody } from '../setup/control-plane.ts';
import { type Footprint, footprint } from '../setup/footprint.ts';
import { until } from '../setup/until.ts';

export interface Belongings {
  dataDir: string;
  /** The sandboxes that the API lists, with their state. */
  listed: ReadonlyMap<string, string>;
  /** Machines that may be kept ready for creates. */
  readyAtMost: number;
  /** Network slots that may be kept ready for machines. */
  slotsAtMost: number;
}

interface Run {
  machine: { id: string };
  slotIndex: number;
}

/** With the default of --warm-memory. */
const MOST_READY = 13;
/** The network slots kept ready, and those that are being made for more. */
const MOST_SLOTS = 16;
const SETTLE_MS = 60_000;

/** Waits until nothing on the host belongs to nobody. What ends meanwhile, as sandboxes do by themselves, is a stray for a moment. */
export async function untilNoStrays(api: ControlPlane, readyAtMost = MOST_READY): Promise<void> {
  const { dataDir } = api.access;
  const strays = async () => {
    const print = await footprint(api.access);
    const { status, body, headers } = await api.call<ListedBody[]>('GET', '/v2/sandboxes?limit=100');
    if (status !== 200 || headers['x-next-token'])
      throw new Error(`not all sandboxes on one page: ${status}`);
    const listed = new Map(body.map(({ sandboxID, state }) => [sandboxID, state]));
    return findStrays(print, { dataDir, listed, readyAtMost, slotsAtMost: MOST_SLOTS });
  };
  await until('nothing belongs to nobody', SETTLE_MS, strays, (found) => found.length === 0);
}

/** What on the host belongs to no sandbox and to nothing that is kept ready; a line each. Look at a settled footprint. */
export async function findStrays(print: Footprint, belongings: Belongings): Promise<string[]> {
  const { dataDir, listed, readyAtMost, slotsAtMost } = belongings;
  const strays: string[] = [];
  const folders = await readdir(join(dataDir, 'sandboxes'));
  const machines = new Set(await readdir(join(dataDir, 'machines')));
  const runs = new Map<string, Run>();
  const states = await statesOfBuilds(dataDir);
  for (const id of folders) {
    const state = listed.get(id);
    if (state === undefined) strays.push(`the folder of ${id}, which is not listed`);
    else {
      const files = await readdir(join(dataDir, 'sandboxes', id));
      for (const file of files) if (file !== 'state.json') strays.push(`${file} of ${id}, which is ${state}`);
      const text = await readFile(join(dataDir, 'sandboxes', id, 'state.json'), 'utf8');
      const { run, saved } = JSON.parse(text) as { run: Run | null; saved?: string };
      if (run) runs.set(run.machine.id, run);
      if (saved !== undefined) states.add(saved);
    }
  }
  for (const state of await readdir(join(dataDir, 'states'))) {
    if (!states.has(state)) strays.push(`saved state ${state}, which nothing refers to`);
  }
  for (const id of listed.keys()) if (!folders.includes(id)) strays.push(`${id} is listed and has no folder`);
  const ready = [...machines].filter((id) => !runs.has(id));
  if (ready.length > readyAtMost) strays.push(`machines of nobody: ${ready.join(', ')}`);
  for (const id of runs.keys()) if (!machines.has(id)) strays.push(`${id} runs and has no folder`);

  const nameOfMachine = /\bm[0-9a-f]{16}\b/g;
  const kinds = ['processes', 'cgroups', 'mounts', 'files'] as const;
  for (const line of kinds.flatMap((kind) => print[kind])) {
    for (const [id] of line.matchAll(nameOfMachine)) if (!machines.has(id)) strays.push(line);
  }
  const slots = print.networkNamespaces.length;
  if (slots > machines.size + slotsAtMost) strays.push(`${slots} namespaces for ${machines.size} machines`);
  if (print.links.length !== slots) strays.push(`${print.links.length} links for ${slots} namespaces`);
  const indices = new Set(print.networkNamespaces.map((name) => Number(name.split('-').at(-1))));
  for (const { slotIndex } of runs.values()) {
    if (!indices.has(slotIndex)) strays.push(`slot ${slotIndex} is used and has no namespace`);
  }
  const bound = print.firewall.filter((line) => line.startsWith('{"concat":["is')).length;
  if (bound !== slots) strays.push(`${bound} addresses are bound for ${slots} namespaces`);
  return strays;
}

async function statesOfBuilds(dataDir: string): Promise<Set<string>> {
  const templates = join(dataDir, 'templates');
  const files = (await readdir(templates)).filter((name) => name.endsWith('.json'));
  const texts = await Promise.all(files.map((name) => readFile(join(templates, name), 'utf8')));
  return new Set(texts.map((text) => (JSON.parse(text) as { snapshot: string }).snapshot));
}
