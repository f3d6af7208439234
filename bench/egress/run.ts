// Measures the egress gateway against address translation: npx tsx bench/egress/run.ts --help
import { parseArgs } from 'node:util';
import { NEIGHBOUR, openWorld, SANDBOX, type World } from '../../packages/egress/test/world/world.ts';
import { percentile } from '../report/statistics.ts';

const USAGE = `Measures the egress gateway against the host's address translation, in turns within one run.

  npx tsx bench/egress/run.ts [--json]

  --json  print one JSON list

A client, a host and a server are in network namespaces of their own. Needs root. Ratios count; absolute figures depend on the machine.
Client and server are no sandboxes, so the gateway's share is at its worst.
`;

const SERVER = '1.1.1.1';
const [GREETER, COUNTER] = [22, 9];
const ROUNDS = 5;
const ROUND_MS = 1500;
const AT_ONCE = 16;
const MEBIBYTES = 100;

interface Line {
  what: string;
  direct: string;
  gateway: string;
  ratio: number;
  target: string;
}

const median = (values: number[]) => percentile(values, 0.5);

/** Straight and by the gateway in turns, so that what else the machine does hits both alike. */
async function inTurns(measure: (from: string) => Promise<number>): Promise<[number, number][]> {
  const pairs: [number, number][] = [];
  for (let round = 0; round < ROUNDS; round++) {
    pairs.push([await measure(NEIGHBOUR), await measure(SANDBOX)]);
  }
  return pairs;
}

function lineOf(what: string, target: string, pairs: [number, number][], digits: number): Line {
  return {
    what,
    direct: median(pairs.map(([direct]) => direct)).toFixed(digits),
    gateway: median(pairs.map(([, gateway]) => gateway)).toFixed(digits),
    ratio: median(pairs.map(([direct, gateway]) => gateway / direct)),
    target,
  };
}

/** An owner's rules, none of which the server's address is in but the last. */
function rules(count: number): string[] {
  const names = Array.from({ length: count }, (_, i) =>
    i % 2 === 0 ? `n${i}.example` : `5.${Math.floor(i / 250)}.${i % 250}.0/24`,
  );
  return [...names, SERVER];
}

async function measureWith(world: World, count: number): Promise<Line[]> {
  await world.allow({ allowOut: rules(count), denyOut: ['0.0.0.0/0'] });
  const greetings = (from: string, atOnce: number) =>
    world.client.ask<number[]>('greetings', SERVER, GREETER, from, atOnce, ROUND_MS);
  const perSecond = async (from: string) => (await greetings(from, AT_ONCE)).length / (ROUND_MS / 1000);
  const latency = async (from: string) => median(await greetings(from, 1));
  const throughput = async (from: string) => {
    const begin = performance.now();
    await world.client.ask('upload', SERVER, COUNTER, MEBIBYTES, from);
    return (MEBIBYTES * 1.048576) / ((performance.now() - begin) / 1000);
  };
  const withRules = `${count} rules`;
  return [
    lineOf(`connects/s, ${AT_ONCE} at once, ${withRules}`, '', await inTurns(perSecond), 0),
    lineOf(`first byte of a connection in ms, ${withRules}`, '', await inTurns(latency), 2),
    lineOf(`${MEBIBYTES} MiB up in MB/s, ${withRules}`, '>= 0.8', await inTurns(throughput), 0),
  ];
}

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help) process.stdout.write(USAGE);
else {
  await using world = await openWorld(`bench-${process.pid}`, NEIGHBOUR);
  const lines = [...(await measureWith(world, 0)), ...(await measureWith(world, 1000))];
  if (values.json) process.stdout.write(`${JSON.stringify(lines, undefined, 2)}\n`);
  else console.table(lines);
}
