import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient, createRouterTransport } from '@connectrpc/connect';
import { Deadline, outboxProto } from '@islet/contracts';
import { Outbox, OutboxReader, outboxService, type Stores } from '@islet/sinks';
import {
  auditContract,
  buildLogsContract,
  deliveriesContract,
  eventsContract,
  logsContract,
  type OpenSink,
  type OpenStore,
  samplesContract,
  teamsContract,
  verdictsContract,
} from '@islet/sinks/contract';
import { createLogger } from '@islet/telemetry';
import { afterAll, beforeAll } from 'vitest';
import { type ClickHouseStores, openClickHouse } from '../src/index.ts';
import { parseServerAddress } from '../src/server/address.ts';
import { TestServer } from './server/server.ts';

const logger = createLogger({ service: 'test', level: 'silent' });

let server: TestServer;
let dir: string;
let kept: ClickHouseStores;
beforeAll(async () => {
  server = await TestServer.start();
  dir = await mkdtemp(join(tmpdir(), 'islet-analytics-'));
  kept = await openClickHouse({
    server: parseServerAddress(server.url()),
    ...{ spool: { dir, maxBytes: 10_000_000 }, clock: Date.now, logger },
  });
  // What the suites write is years old.
  await server.query('SYSTEM STOP TTL MERGES');
});
afterAll(async () => {
  await kept[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

const TABLES = {
  ...{ samples: ['sandbox_metrics_gauge'], logs: ['sandbox_logs'], events: ['sandbox_events'] },
  ...{ teams: ['team_metrics_gauge', 'team_metrics_sum'], verdicts: ['sandbox_egress'] },
  ...{ buildLogs: ['build_logs'], deliveries: ['webhook_deliveries'], audit: ['audit'] },
};

const empty = async (kind: keyof typeof TABLES) => {
  for (const table of TABLES[kind]) await server.query(`TRUNCATE TABLE islet.${table}`);
};

/** A store that has nothing in it. */
const emptied =
  <K extends keyof typeof TABLES>(kind: K): OpenStore<ClickHouseStores[K]> =>
  async () => {
    await empty(kind);
    return { store: kept[kind], [Symbol.asyncDispose]: async () => undefined };
  };

/** What the outbox of a node brings to the engine, in a table that is empty. */
function open<K extends 'samples' | 'logs' | 'events'>(kind: K): OpenSink<Outbox[K], Stores[K]> {
  return async ({ waiting }) => {
    await empty(kind);
    const outbox = new Outbox({ characters: waiting, lingerMs: 5, logger });
    let stalled: Promise<void> = Promise.resolve();
    const stores: Stores = { ...kept, [kind]: behind(kept[kind], () => stalled) };
    const transport = createRouterTransport(({ service }) =>
      service(outboxProto.Outbox, outboxService(outbox)),
    );
    const reader = new OutboxReader({ client: createClient(outboxProto.Outbox, transport), stores, logger });
    return {
      ...{ sink: outbox[kind], source: kept[kind], dropped: () => outbox.dropped },
      async settled() {
        using deadline = new Deadline(60_000);
        await reader.caughtUp(deadline.signal);
      },
      stall() {
        let goOn = () => {};
        stalled = new Promise((resolve) => {
          goOn = resolve;
        });
        return goOn;
      },
      [Symbol.asyncDispose]: () => reader[Symbol.asyncDispose](),
    };
  };
}

function behind<T, S extends { write(batch: readonly T[]): Promise<void> }>(
  store: S,
  gate: () => Promise<void>,
): S {
  return {
    ...store,
    write: async (batch: readonly T[]) => {
      await gate();
      await store.write(batch);
    },
  };
}

samplesContract('in ClickHouse', open('samples'));
logsContract('in ClickHouse', open('logs'));
eventsContract('in ClickHouse', open('events'));
teamsContract('in ClickHouse', emptied('teams'));
verdictsContract('in ClickHouse', emptied('verdicts'));
buildLogsContract('in ClickHouse', emptied('buildLogs'));
deliveriesContract('in ClickHouse', emptied('deliveries'));
auditContract('in ClickHouse', emptied('audit'));
