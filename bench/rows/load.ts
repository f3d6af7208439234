import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { countsOf, type Footprint, footprint } from '../../e2e/setup/footprint.ts';
import { parseSmapsRollup } from '../host/processes.ts';
import { type LoadStep, runLoad } from '../load/clients.ts';
import type { Measurement } from '../report/measurement.ts';
import type { Row, RowContext } from './row.ts';

const CLIENTS = 20;
const DURATION_MS = { quick: 15_000, full: 600_000 };
const SAMPLE_MS = 1_000;
/** One is kept ready whatever the demand: what is left behind could not be told from what is kept ready else. */
const ONE_READY = ['--warm-memory', '100'];
const SETTLE_DEADLINE_MS = 60_000;
/** The number of things has to stay the same so long. */
const SETTLED_AFTER_MS = 2_000;

const NONE = [{ kind: 'at-most', of: 'p50', value: 0 }] as const;

/** What Islet's own process holds, MB. */
async function processMemory(pid: number): Promise<number> {
  return parseSmapsRollup(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8')).pss / 1e6;
}

/** Looks at the memory until the work is done. */
async function sampleDuring<T>(pid: number, work: Promise<T>): Promise<{ result: T; memory: number[] }> {
  const memory: number[] = [];
  let isDone = false;
  const done = work.finally(() => {
    isDone = true;
  });
  while (!isDone) {
    memory.push(await processMemory(pid));
    await Promise.race([done.catch(() => undefined), sleep(SAMPLE_MS)]);
  }
  return { result: await done, memory };
}

/** Clients keep their connections a while: they say nothing of Islet. */
async function look({ access }: RowContext): Promise<Footprint> {
  const print = await footprint(access);
  return { ...print, descriptors: print.descriptors.filter((line) => line !== 'socket') };
}

/** How many things there are more of each kind. */
function surplus(before: Footprint, after: Footprint): Record<string, number> {
  const counts = countsOf(before);
  const more = Object.entries(countsOf(after)).map(
    ([kind, count]) => [kind, count - counts[kind as keyof Footprint]] as const,
  );
  return Object.fromEntries(more.filter(([, count]) => count > 0));
}

/** The host once nothing moves on it any more. */
async function settled(context: RowContext): Promise<Footprint> {
  const { signal, now } = context;
  const deadline = now() + SETTLE_DEADLINE_MS;
  let print = await look(context);
  let since = now();
  while (now() - since < SETTLED_AFTER_MS && now() < deadline) {
    await sleep(200, undefined, { signal });
    const next = await look(context);
    if (JSON.stringify(countsOf(next)) !== JSON.stringify(countsOf(print))) since = now();
    print = next;
  }
  return print;
}

export const loadRow: Row = {
  name: 'load',
  description: `${CLIENTS} clients that create, run, pause, resume and kill: times, errors, what is left, memory`,
  async measure(context) {
    await context.islet.restart(ONE_READY);
    const running = { ...context, access: context.islet.access };
    const { pid } = running.access;
    const load = (durationMs: number) =>
      runLoad({
        access: running.access,
        clients: CLIENTS,
        durationMs,
        signal: context.signal,
        now: context.now,
      });
    // What is made once and kept is made before the first look.
    await load(1);
    const before = await settled(running);
    const { result, memory } = await sampleDuring(pid, load(DURATION_MS[context.size]));
    const left = surplus(before, await settled(running));
    await context.islet.restart();

    const said = [
      ...result.errors.slice(0, 10),
      ...Object.entries(left).map(([kind, count]) => `${count} ${kind} left`),
    ];
    for (const line of said) process.stderr.write(`load: ${line}\n`);
    const times = Object.entries(result.times) as [LoadStep, number[]][];
    const third = Math.max(1, Math.floor(memory.length / 3));
    return [
      ...times
        .filter(([, samples]) => samples.length > 0)
        .map(
          ([step, samples]): Measurement => ({
            row: 'load',
            what: `${step}, ${CLIENTS} clients (${samples.length})`,
            unit: 'ms',
            samples,
            targets: [],
          }),
        ),
      { row: 'load', what: 'errors', unit: 'things', samples: [result.errors.length], targets: NONE },
      {
        row: 'load',
        what: 'left behind',
        unit: 'things',
        samples: [Object.values(left).reduce((sum, count) => sum + count, 0)],
        targets: NONE,
      },
      {
        row: 'load',
        what: "PSS of Islet's process, last third",
        unit: 'MB',
        samples: memory.slice(-third),
        baseline: { what: 'first third', samples: memory.slice(0, third) },
        targets: [{ kind: 'ratio-at-most', value: 1.1 }],
      },
    ];
  },
};
