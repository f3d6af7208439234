// Load with kills of Islet, and outages of ClickHouse and of the receiver of OTLP:
// npm run test:past -- [--minutes 10] [--faults islet,away,still,both,unheard,silent]
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { TestServer } from '@islet/analytics/test-server';
import { OtlpReceiver } from '../../packages/telemetry/test/otlp-receiver.ts';
import { ControlPlane } from '../setup/control-plane.ts';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';
import { until } from '../setup/until.ts';
import { Ledger } from './ledger.ts';
import { Lives } from './lives.ts';

const WORKERS = 4;
/** Between two disturbances, and how long one of the store lasts, ms. */
const CALM_MS = 20_000;
const OUTAGE_MS = 40_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    faults: { type: 'string', default: 'islet,away,still,both,unheard,silent' },
  },
});
const [minutes, faults] = [Number(values.minutes), values.faults.split(',')];

const say = (text: string) => process.stdout.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);

const dataDir = await newDataDir();
const spool = join(dataDir, 'spool/clickhouse');
const server = await TestServer.start();
const receiver = await OtlpReceiver.open();
const env = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_METRIC_EXPORT_INTERVAL: '5000' };
const start = () => startInstance(dataDir, ['--clickhouse-url', server.url()], { env });
let islet: RunningInstance = await start();
const ledger = new Ledger();
const lives = new Lives({ workers: WORKERS, ledger, api: new ControlPlane(islet.access) });

let mostMemory = 0;
let mostWaiting = 0;
const watch = setInterval(async () => {
  const status = await readFile(`/proc/${islet.access.pid}/status`, 'utf8').catch(() => '');
  mostMemory = Math.max(mostMemory, Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0));
  mostWaiting = Math.max(mostWaiting, await waiting());
}, 1_000);

/** Bytes on disk. */
async function waiting(): Promise<number> {
  const names = await readdir(spool).catch(() => []);
  const sizes = names.map(async (name) => (await stat(join(spool, name)).catch(() => undefined))?.size ?? 0);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

async function killIslet(): Promise<void> {
  say('SIGKILL of Islet');
  await islet.stop('SIGKILL');
  islet = await start();
  lives.use(new ControlPlane(islet.access));
}

const FAULTS: Record<string, () => Promise<void>> = {
  islet: killIslet,
  async away() {
    say(`ClickHouse is killed, and starts again after ${OUTAGE_MS / 1_000} s`);
    await server.stop();
    await sleep(OUTAGE_MS);
    await server.restart();
  },
  async still() {
    say(`ClickHouse stands still for ${OUTAGE_MS / 1_000} s`);
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
    say(`the receiver of OTLP is away for ${OUTAGE_MS / 1_000} s`);
    const comeBack = await receiver.goAway();
    await sleep(OUTAGE_MS);
    await comeBack();
    await hears();
  },
  async silent() {
    say(`the receiver of OTLP answers nobody for ${OUTAGE_MS / 1_000} s`);
    const goOn = receiver.standStill();
    await sleep(OUTAGE_MS);
    goOn();
    await hears();
  },
};

/** Spans and lines come again. */
async function hears(): Promise<void> {
  const before = { spans: receiver.spans.length, logs: receiver.logs.length };
  const more = () => receiver.spans.length > before.spans && receiver.logs.length > before.logs;
  await until(
    'the receiver hears of what happens',
    60_000,
    async () => more(),
    (isMore) => isMore,
  );
}

const endAt = Date.now() + minutes * 60_000;
for (let round = 0; Date.now() < endAt; round++) {
  await sleep(CALM_MS);
  await FAULTS[faults[round % faults.length] ?? '']?.();
}
await lives.end();
clearInterval(watch);
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
const verdict = ledger.judge(await rows());
const most = { mostMemoryMb: Math.round(mostMemory / 1024), mostWaitingBytes: mostWaiting };
say(JSON.stringify({ ...verdict, ...most, spans: receiver.spans.length, logs: receiver.logs.length }));
await islet.stop('SIGINT');
await receiver[Symbol.asyncDispose]();
await server[Symbol.asyncDispose]();
await removeDataDir(dataDir);
process.exitCode = verdict.missing + verdict.twice + verdict.tooMany === 0 ? 0 : 1;
