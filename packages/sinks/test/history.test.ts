import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient, createRouterTransport, type Transport } from '@connectrpc/connect';
import { connectNodeAdapter, createConnectTransport } from '@connectrpc/connect-node';
import { Deadline, outboxProto } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
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
} from '../src/contract.ts';
import {
  History,
  type HistoryStores,
  Outbox,
  OutboxReader,
  outboxService,
  type Stores,
} from '../src/index.ts';

const logger = createLogger({ service: 'test', level: 'silent' });

interface Way extends AsyncDisposable {
  transport: Transport;
}

/** As in one process. */
async function withoutSocket(outbox: Outbox): Promise<Way> {
  const transport = createRouterTransport(({ service }) =>
    service(outboxProto.Outbox, outboxService(outbox)),
  );
  return { transport, [Symbol.asyncDispose]: async () => undefined };
}

/** As between two processes. */
async function overHttp(outbox: Outbox): Promise<Way> {
  const routes = connectNodeAdapter({
    routes: ({ service }) => service(outboxProto.Outbox, outboxService(outbox)),
  });
  const server = createServer(routes);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    transport: createConnectTransport({ baseUrl: `http://127.0.0.1:${port}`, httpVersion: '1.1' }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** One that holds so little that a flood of one team has to push something out. */
function openHistory(): { stores: HistoryStores; close(): void } {
  const dir = mkdtempSync(join(tmpdir(), 'islet-history-'));
  const history = new History({ dir, bytes: 1_000_000, now: Date.now, logger });
  return {
    stores: history.stores,
    close() {
      history[Symbol.dispose]();
      rmSync(dir, { recursive: true });
    },
  };
}

/** Stores that can be kept from taking anything. */
function stallable(stores: Stores) {
  let stalled: Promise<void> = Promise.resolve();
  const behindGate = <S extends { write(batch: readonly never[]): Promise<void> }>(store: S): S => ({
    ...store,
    write: async (batch: readonly never[]) => {
      await stalled;
      await store.write(batch);
    },
  });
  return {
    stores: {
      samples: behindGate(stores.samples),
      logs: behindGate(stores.logs),
      events: behindGate(stores.events),
      buildLogs: behindGate(stores.buildLogs),
      verdicts: behindGate(stores.verdicts),
    },
    stall() {
      let goOn = () => {};
      stalled = new Promise((resolve) => {
        goOn = resolve;
      });
      return goOn;
    },
  };
}

function sink<K extends 'samples' | 'logs' | 'events'>(
  kind: K,
  connect: (outbox: Outbox) => Promise<Way>,
): OpenSink<Outbox[K], Stores[K]> {
  return async ({ waiting }) => {
    const outbox = new Outbox({ characters: waiting, lingerMs: 5, logger });
    const way = await connect(outbox);
    const history = openHistory();
    const { stores, stall } = stallable(history.stores);
    const client = createClient(outboxProto.Outbox, way.transport);
    const reader = new OutboxReader({ client, stores, logger });
    return {
      sink: outbox[kind],
      source: history.stores[kind],
      async settled() {
        using deadline = new Deadline(60_000);
        await reader.caughtUp(deadline.signal);
      },
      stall,
      dropped: () => outbox.dropped,
      async [Symbol.asyncDispose]() {
        await reader[Symbol.asyncDispose]();
        await way[Symbol.asyncDispose]();
        history.close();
      },
    };
  };
}

const store =
  <K extends keyof HistoryStores>(kind: K): OpenStore<HistoryStores[K]> =>
  async () => {
    const history = openHistory();
    return { store: history.stores[kind], [Symbol.asyncDispose]: async () => history.close() };
  };

for (const [name, connect] of [
  ['on disk, from the same process', withoutSocket],
  ['on disk, from another process', overHttp],
] as const) {
  samplesContract(name, sink('samples', connect));
  logsContract(name, sink('logs', connect));
  eventsContract(name, sink('events', connect));
}
buildLogsContract('on disk', store('buildLogs'));
teamsContract('on disk', store('teams'));
verdictsContract('on disk', store('verdicts'));
deliveriesContract('on disk', store('deliveries'));
auditContract('on disk', store('audit'));
