import type { ChildProcess } from 'node:child_process';
import { measureBodies } from '../load/bodies.ts';
import type { Goal } from '../load/goal.ts';
import { measureMessages } from '../load/messages.ts';
import { measureRequests } from '../load/requests.ts';
import { inTurns, type Pace, type RoundsOptions } from '../pace/rounds.ts';
import type { Measurement, Unit } from '../report/measurement.ts';
import { startNginx } from './nginx.ts';
import { cpuSeconds, pinToLastCore, start } from './process.ts';

const ADDRESS = '127.0.0.31';
const SANDBOX_ID = 'ibench';
const MEGABYTE = 1_000_000;
/** Connections that fetch large bodies at once. */
const DOWNLOADS = 4;

/** A proxy in front of the server, in a process of its own. */
interface Proxy {
  goal: Goal;
  pid: number;
}

interface Case {
  what: string;
  unit: Unit;
  /** Things a second. */
  measure(goal: Goal, ms: number): Promise<number>;
}

const CASES: readonly Case[] = [
  ...[1, 32, 500].map((connections) => ({
    what: `small answers, ${connections} connection${connections === 1 ? '' : 's'}`,
    unit: 'requests/s' as const,
    measure: async (goal: Goal, ms: number) =>
      (await measureRequests(goal, connections, ms)).requestsPerSecond,
  })),
  {
    what: '1 MB answers',
    unit: 'MB/s',
    measure: async (goal, ms) => (await measureBodies(goal, MEGABYTE, DOWNLOADS, ms)) / MEGABYTE,
  },
  {
    what: 'WebSocket messages, 32 connections',
    unit: 'requests/s',
    measure: (goal, ms) => measureMessages(goal, 32, ms),
  },
];

interface Sample {
  rate: number;
  perCore: number;
}

async function sample(proxy: Proxy, one: Case, ms: number): Promise<Sample> {
  const before = await cpuSeconds(proxy.pid);
  const startedAt = performance.now();
  const rate = await one.measure(proxy.goal, ms);
  const seconds = (performance.now() - startedAt) / 1000;
  const used = (await cpuSeconds(proxy.pid)) - before;
  // A tick at least: what used none was not seen.
  return { rate, perCore: (rate * seconds) / Math.max(used, 0.01) };
}

/**
 * The edge and nginx as reverse proxies to the same server, in turns. Each is one process, kept on one core. What a proxy does with a
 * second of its processor is what counts: the rate also depends on the client, on the server and on what else the machine does.
 */
export async function measureBesideNginx(
  row: string,
  pace: Pace,
  ms: number,
  options: RoundsOptions,
): Promise<Measurement[]> {
  const upstream = await start('./upstream.ts', [ADDRESS]);
  await using _upstream = { [Symbol.asyncDispose]: async () => void upstream.child.kill() };
  const edge = await start('./edge.ts', [ADDRESS, SANDBOX_ID]);
  await using _edge = { [Symbol.asyncDispose]: async () => void edge.child.kill() };
  await using nginx = await startNginx(`${ADDRESS}:${upstream.port}`);
  const headers = { Host: `${upstream.port}-${SANDBOX_ID}.localhost` };
  const proxyOf = ({ child, port }: { child: ChildProcess; port: number }): Proxy => ({
    goal: { host: '127.0.0.1', port, headers },
    pid: child.pid ?? 0,
  });
  const proxies = [proxyOf(edge), proxyOf(nginx)] as const;
  for (const { pid } of proxies) await pinToLastCore(pid);
  const measurements: Measurement[] = [];
  for (const one of CASES) {
    const [ours, theirs] = await inTurns(pace, options, [
      () => sample(proxies[0], one, ms),
      () => sample(proxies[1], one, ms),
    ]);
    const line = (
      what: string,
      of: (sample: Sample) => number,
      targets: Measurement['targets'],
    ): Measurement => ({
      row,
      what: `${one.what}: ${what}`,
      unit: one.unit,
      samples: ours.map(of),
      baseline: { what: 'nginx', samples: theirs.map(of) },
      targets,
    });
    measurements.push(
      line('of a core', ({ perCore }) => perCore, [{ kind: 'ratio-at-least', value: 0.6 }]),
      line('in all', ({ rate }) => rate, []),
    );
  }
  return measurements;
}
