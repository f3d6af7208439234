// Load with kills of Islet, and outages of ClickHouse and of the receiver of OTLP: npm run test:past -- --help
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { TestServer } from '@islet/analytics/test-server';
import { Undo } from '@islet/contracts';
import { OtlpReceiver } from '../../packages/telemetry/test/otlp-receiver.ts';
import { parseChoices, parseMinutes } from '../setup/choices.ts';
import { ControlPlane } from '../setup/control-plane.ts';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';
import { until } from '../setup/until.ts';
import { Ledger } from './ledger.ts';
import { Lives } from './lives.ts';

const WORKERS = 4;
/** Between two disturbances, and how long an outage lasts, ms. */
const CALM_MS = 20_000;
const OUTAGE_MS = 40_000;
const FAULTS = ['islet', 'away', 'still', 'both', 'unheard', 'silent'] as const;
type FaultKind = (typeof FAULTS)[number];

const USAGE = `Takes sandboxes through their lives while Islet is killed, ClickHouse's engine is killed or stands still, and the receiver of OTLP is
away or answers nobody, by turns. Each acknowledged create, pause, resume and kill has to have its event in ClickHouse, once.

  npm run test:past -- [--minutes <n>] [--faults <kind>,…] [--log <file>] [--json]

  --minutes  how long (10)
  --faults   these kinds alone: ${FAULTS.join(', ')}
  --log      where to write what Islet's processes said
  --json     the counts as one JSON object on standard output; progress goes to standard error in any case

Needs root (./islet setup --with-tests). Exits with 1 if a sandbox is lost, or an event is missing or comes twice.
`;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    faults: { type: 'string', default: FAULTS.join(',') },
    log: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const say = (text: string) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);

/** Bytes on disk that wait for ClickHouse. */
async function bytesIn(spool: string): Promise<number> {
  const names = await readdir(spool).catch(() => []);
  const sizes = names.map(async (name) => (await stat(join(spool, name)).catch(() => undefined))?.size ?? 0);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

async function memoryKb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0);
}

/** Spans come again; lines of a log seldom do. */
async function hears({ spans }: OtlpReceiver): Promise<void> {
  const before = spans.length;
  await until(
    `the receiver hears of more than ${before} spans`,
    60_000,
    () => spans.length,
    (now) => now > before,
  );
}

/** @param signal ends it before its time: what was acknowledged until then is judged */
async function run(kinds: readonly FaultKind[], durationMs: number, signal: AbortSignal) {
  await using undo = new Undo();
  const dataDir = await newDataDir();
  undo.add('its data', () => removeDataDir(dataDir));
  const server = await TestServer.start();
  undo.add('ClickHouse', () => server[Symbol.asyncDispose]());
  const receiver = await OtlpReceiver.open();
  undo.add('the receiver', () => receiver[Symbol.asyncDispose]());

  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_METRIC_EXPORT_INTERVAL: '5000' };
  const start = () =>
    startInstance(dataDir, ['--clickhouse-url', server.url()], { env, ownProcessGroup: true });
  let islet: RunningInstance = await start();
  undo.add('Islet', () => islet.stop('SIGINT'));
  let log = '';
  const ledger = new Ledger();
  const lives = new Lives({ workers: WORKERS, ledger, api: new ControlPlane(islet.access) });
  undo.add('the load', () => lives.end());

  const most = { memoryMb: 0, waitingBytes: 0 };
  const waiting = () => bytesIn(join(dataDir, 'spool/clickhouse'));
  const watch = setInterval(async () => {
    most.memoryMb = Math.max(most.memoryMb, Math.round((await memoryKb(islet.pid)) / 1024));
    most.waitingBytes = Math.max(most.waitingBytes, await waiting());
  }, 1_000);
  undo.add('the watch', () => clearInterval(watch));

  const killIslet = async () => {
    say('SIGKILL of Islet');
    await islet.stop('SIGKILL');
    log += islet.log();
    islet = await start();
    lives.use(new ControlPlane(islet.access));
  };
  const outage = `for ${OUTAGE_MS / 1_000} s`;
  const faults: Record<FaultKind, () => Promise<void>> = {
    islet: killIslet,
    async away() {
      say(`ClickHouse is away ${outage}`);
      await server.stop();
      await sleep(OUTAGE_MS);
      await server.restart();
    },
    async still() {
      say(`ClickHouse stands still ${outage}`);
      server.freeze();
      await sleep(OUTAGE_MS);
      server.thaw();
    },
    async both() {
      say('ClickHouse is killed, Islet too, and both start again');
      await server.stop();
      await sleep(CALM_MS);
      await killIslet();
      await sleep(CALM_MS);
      await server.restart();
    },
    async unheard() {
      say(`the receiver of OTLP is away ${outage}`);
      const comeBack = await receiver.goAway();
      await sleep(OUTAGE_MS);
      await comeBack();
      await hears(receiver);
    },
    async silent() {
      say(`the receiver of OTLP answers nobody ${outage}`);
      const goOn = receiver.standStill();
      await sleep(OUTAGE_MS);
      goOn();
      await hears(receiver);
    },
  };

  const endAt = Date.now() + durationMs;
  for (let round = 0; Date.now() < endAt && !signal.aborted; round++) {
    await sleep(CALM_MS, undefined, { signal }).catch(() => undefined);
    if (!signal.aborted) await faults[kinds[round % kinds.length] as FaultKind]();
  }
  await lives.end();
  await until('nothing waits on disk', 120_000, waiting, (bytes) => bytes === 0);
  const rows = () =>
    server.query<{ id: string; sandbox: string; type: string }>(
      `SELECT id, sandbox_id AS sandbox, replaceOne(type, 'sandbox.lifecycle.', '') AS type
        FROM islet.sandbox_events FINAL`,
    );
  // What was noted last is on its way.
  await until('the last end is told', 30_000, rows, (events) => ledger.judge(events).missing === 0).catch(
    () => undefined,
  );
  return { ...ledger.judge(await rows()), most, spans: receiver.spans.length, log: log + islet.log() };
}

type Counts = Omit<Awaited<ReturnType<typeof run>>, 'log'>;

function textOf({
  acknowledged,
  unanswered,
  lost,
  missing,
  twice,
  tooMany,
  examples,
  most,
  spans,
}: Counts): string {
  return [
    `${acknowledged} calls were acknowledged, and ${unanswered} not answered`,
    `sandboxes lost: ${lost.length} ${lost.join(', ')}`,
    `events missing: ${missing}, twice: ${twice}, too many: ${tooMany}`,
    ...examples.map((example) => `  ${example}`),
    `Islet took ${most.memoryMb} MiB at most, and ${most.waitingBytes} bytes waited on disk at most`,
    `the receiver of OTLP heard of ${spans} spans`,
  ].join('\n');
}

async function main(): Promise<number> {
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => interrupted.abort());
  const kinds = parseChoices('faults', FAULTS, values.faults);
  const { log, ...counts } = await run(kinds, parseMinutes(values.minutes), interrupted.signal);
  if (values.log !== undefined) await writeFile(values.log, log);
  process.stdout.write(`${values.json ? JSON.stringify(counts) : textOf(counts)}\n`);
  const { lost, missing, twice, tooMany } = counts;
  return lost.length + missing + twice + tooMany === 0 ? 0 : 1;
}

process.exitCode = await main();
