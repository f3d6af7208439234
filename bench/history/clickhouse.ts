import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openClickHouse, parseServerAddress } from '@islet/analytics';
import { TestServer } from '@islet/analytics/test-server';
import { createLogger } from '@islet/telemetry';
import { BEGIN_MS, type History, TEAM } from './history.ts';

const BEGIN = `fromUnixTimestamp64Milli(toInt64(${BEGIN_MS}))`;

/** So that a busy machine answers in time. */
const LINES_AT_ONCE = 1_000_000;

/** ClickHouse's engine, as the tests start it: one request after the other, through a front. */
export async function openClickHouseHistory(): Promise<History> {
  const server = await TestServer.start();
  const dir = await mkdtemp(join(tmpdir(), 'islet-bench-spool-'));
  const stores = await openClickHouse({
    server: parseServerAddress(server.url()),
    ...{ spool: { dir, maxBytes: 1_000_000 }, clock: Date.now },
    logger: createLogger({ service: 'bench', level: 'silent' }),
  });
  return {
    ...{ name: 'ClickHouse', stores },
    // By the engine itself: to make so many lines takes a program longer than to keep them.
    async fill({ samples, sampled, lines, logged }) {
      await server.query(`INSERT INTO islet.sandbox_metrics_gauge (timestamp, team_id, sandbox_id, metric_name, value)
        SELECT ${BEGIN} + toIntervalSecond(intDiv(number, ${sampled}) * 5), '${TEAM}',
          concat('sampled', toString(number % ${sampled})), metric.1, metric.2
        FROM numbers(${samples}) ARRAY JOIN [
          ('e2b.sandbox.cpu.total', 2.), ('e2b.sandbox.cpu.used', toFloat64(number % 100)),
          ('e2b.sandbox.ram.used', number * 4096.), ('e2b.sandbox.ram.total', 536870912.),
          ('e2b.sandbox.ram.cache', toFloat64(number)), ('e2b.sandbox.disk.used', number * 512.),
          ('e2b.sandbox.disk.total', 10737418240.)] AS metric`);
      for (let from = 0; from < lines; from += LINES_AT_ONCE) {
        await server.query(`INSERT INTO islet.sandbox_logs
          (timestamp, team_id, sandbox_id, level, message, fields, raw, sequence)
        SELECT ${BEGIN} + toIntervalMillisecond(intDiv(number, ${logged}) * 100) AS at, '${TEAM}',
          concat('logged', toString(number % ${logged})) AS id, if(number % 10 = 0, 'warn', 'info') AS level,
          concat('process ', toString(number), ' has ended with status ', toString(number % 256)) AS message,
          concat('{"pid":"', toString(number % 32768), '","cmd":"/bin/sh","logger":"process"}'),
          concat('{"pid":"', toString(number % 32768), '","cmd":"/bin/sh","timestamp":"', toString(at),
            '","level":"', level, '","logger":"process","message":"', message, '","sandboxID":"', id, '","teamID":"${TEAM}"}'),
          number
        FROM numbers(${from}, ${Math.min(LINES_AT_ONCE, lines - from)})`);
      }
    },
    async [Symbol.asyncDispose]() {
      await stores[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
