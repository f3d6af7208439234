// Measures the edge against going straight to the same server: npx tsx bench/proxy/run.ts --help
import type { ChildProcess } from 'node:child_process';
import { parseArgs } from 'node:util';
import type { Goal } from '../load/goal.ts';
import { measureRequests } from '../load/requests.ts';
import { measureDownload, measureUpload } from '../load/transfer.ts';
import { judge } from '../report/measurement.ts';
import { percentile } from '../report/statistics.ts';
import { renderTable } from '../report/table.ts';
import { measureBesideNginx } from './beside-nginx.ts';
import { start } from './process.ts';

const USAGE = `Measures the edge against going straight to the same server, in turns within one run.

  npx tsx bench/proxy/run.ts [--json] [--nginx | --upstream <address>:<port>]

  --json      print one JSON list
  --nginx     against nginx as a reverse proxy to the same server, instead
  --upstream  a server in a sandbox, such as upstream.ts, in place of a bare one on loopback

Ratios count; absolute figures depend on the machine. The bare server's own cost is a fraction of a sandbox's, so its
ratios are the worst case: the edge's share is nearly all system calls, one read and one write more each way. The
targets are for a server in a sandbox.
`;

const ADDRESS = '127.0.0.31';
const SANDBOX_ID = 'ibench';
const ROUNDS = 5;
const ROUND_MS = 1500;
const BODY_BYTES = 100 * 1024 * 1024;

function median(values: number[]): number {
  return percentile(values, 0.5);
}

function download(goal: Goal): Promise<number> {
  return measureDownload(goal, `/bytes/${BODY_BYTES}`, BODY_BYTES);
}

async function upload(goal: Goal): Promise<number> {
  const { rate, answer } = await measureUpload(goal, { method: 'POST', path: '/', size: BODY_BYTES });
  if (Number(answer) !== BODY_BYTES) throw new Error(`it got ${answer} of ${BODY_BYTES} bytes`);
  return rate;
}

/** @throws TypeError for an address that is none */
function parseUpstream(text: string): { address: string; port: number } {
  const [address, port] = text.split(':');
  if (!address || !Number(port)) throw new TypeError('--upstream needs <IPv4 address>:<port>');
  return { address, port: Number(port) };
}

/** The two goals by turns, so that what else the machine does hits both alike. */
async function inTurns<T>(goals: [Goal, Goal], measure: (goal: Goal) => Promise<T>): Promise<[T, T][]> {
  for (const goal of goals) await measure(goal);
  const results: [T, T][] = [];
  for (let round = 0; round < ROUNDS; round++)
    results.push([await measure(goals[0]), await measure(goals[1])]);
  return results;
}

interface Line {
  what: string;
  straight: string;
  proxied: string;
  ratio: number;
  target: string;
}

async function measureAll(straight: Goal, proxied: Goal): Promise<Line[]> {
  const goals: [Goal, Goal] = [straight, proxied];
  const lines: Line[] = [];
  for (const connections of [1, 32]) {
    const pairs = await inTurns(goals, (goal) => measureRequests(goal, connections, ROUND_MS));
    const rps = (i: 0 | 1) => median(pairs.map((pair) => pair[i].requestsPerSecond));
    const medians = pairs.map(([a, b]): [number, number] => [median(a.latencies), median(b.latencies)]);
    const p50 = (i: 0 | 1) => median(medians.map((pair) => pair[i]));
    lines.push({
      what: `requests/s, ${connections} at once`,
      straight: rps(0).toFixed(0),
      proxied: rps(1).toFixed(0),
      ratio: median(pairs.map(([a, b]) => b.requestsPerSecond / a.requestsPerSecond)),
      target: '>= 0.6',
    });
    lines.push({
      what: `added at p50 in ms, ${connections} at once`,
      straight: p50(0).toFixed(3),
      proxied: p50(1).toFixed(3),
      ratio: median(medians.map(([a, b]) => b - a)),
      target: '<= 1 (a difference)',
    });
  }
  for (const [what, measure] of [
    ['100 MiB down, MB/s', download],
    ['100 MiB up, MB/s', upload],
  ] as const) {
    const pairs = await inTurns(goals, measure);
    lines.push({
      what,
      straight: (median(pairs.map((pair) => pair[0])) / 1e6).toFixed(0),
      proxied: (median(pairs.map((pair) => pair[1])) / 1e6).toFixed(0),
      ratio: median(pairs.map(([a, b]) => b / a)),
      target: '>= 0.7',
    });
  }
  return lines;
}

const children: ChildProcess[] = [];

async function startOwn(): Promise<{ address: string; port: number }> {
  const own = await start('./upstream.ts', [ADDRESS]);
  children.push(own.child);
  return { address: ADDRESS, port: own.port };
}

async function main(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      json: { type: 'boolean', default: false },
      nginx: { type: 'boolean', default: false },
      upstream: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return void process.stdout.write(USAGE);
  if (values.nginx) return void process.stdout.write(await besideNginx(values.json));
  const upstream = values.upstream === undefined ? await startOwn() : parseUpstream(values.upstream);
  const edge = await start('./edge.ts', [upstream.address, SANDBOX_ID]);
  children.push(edge.child);
  const name = `${upstream.port}-${SANDBOX_ID}.localhost`;
  const lines = await measureAll(
    { host: upstream.address, port: upstream.port, headers: { Host: name } },
    { host: '127.0.0.1', port: edge.port, headers: { Host: name } },
  );
  process.stdout.write(values.json ? `${JSON.stringify(lines)}\n` : render(lines));
}

async function besideNginx(json: boolean): Promise<string> {
  const options = {
    signal: new AbortController().signal,
    progress: () => process.stderr.write('.'),
    now: () => performance.now(),
  };
  const pace = { rounds: ROUNDS, budgetMs: 60_000 };
  const results = (await measureBesideNginx('edge', pace, ROUND_MS, options)).map(judge);
  return json ? `${JSON.stringify(results)}\n` : `\n${renderTable(results)}\n`;
}

function render(lines: readonly Line[]): string {
  const head = `${'what'.padEnd(32)}${'straight'.padStart(10)}${'edge'.padStart(10)}${'ratio'.padStart(8)}  target\n`;
  const rows = lines.map(
    ({ what, straight, proxied, ratio, target }) =>
      `${what.padEnd(32)}${straight.padStart(10)}${proxied.padStart(10)}${ratio.toFixed(2).padStart(8)}  ${target}\n`,
  );
  return head + rows.join('');
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
} finally {
  for (const child of children) child.kill();
}
