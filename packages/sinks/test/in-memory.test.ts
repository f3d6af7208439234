import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createClient, createRouterTransport, type Transport } from '@connectrpc/connect';
import { connectNodeAdapter, createConnectTransport } from '@connectrpc/connect-node';
import { Deadline, outboxProto } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import { eventsContract, logsContract, type OpenSink, samplesContract } from '../src/contract.ts';
import {
  createMemoryEvents,
  createMemoryLogs,
  createMemorySamples,
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

/** Stores of few records that can be kept from taking any. */
function stallableStores() {
  const stores: Stores = {
    samples: createMemorySamples({ samplesPerSandbox: 3_000, sandboxes: 10 }),
    logs: createMemoryLogs({
      recordsPerSandbox: 3_000,
      charactersPerSandbox: 1_000_000,
      totalCharacters: 200_000,
    }),
    events: createMemoryEvents({ eventsPerSandbox: 3_000, events: 1_000 }),
  };
  let stalled: Promise<void> = Promise.resolve();
  const behindGate = <T>(store: { write(batch: readonly T[]): Promise<void> }) => ({
    ...store,
    write: async (batch: readonly T[]) => {
      await stalled;
      await store.write(batch);
    },
  });
  return {
    stores: {
      samples: { ...stores.samples, ...behindGate(stores.samples) },
      logs: { ...stores.logs, ...behindGate(stores.logs) },
      events: { ...stores.events, ...behindGate(stores.events) },
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

function open<K extends keyof Stores>(
  kind: K,
  connect: (outbox: Outbox) => Promise<Way>,
): OpenSink<Outbox[K], Stores[K]> {
  return async ({ waiting }) => {
    const outbox = new Outbox({ characters: waiting, lingerMs: 5, logger });
    const way = await connect(outbox);
    const { stores, stall } = stallableStores();
    const client = createClient(outboxProto.Outbox, way.transport);
    const reader = new OutboxReader({ client, stores, logger });
    return {
      sink: outbox[kind],
      source: stores[kind],
      async settled() {
        using deadline = new Deadline(30_000);
        await reader.caughtUp(deadline.signal);
      },
      stall,
      dropped: () => outbox.dropped,
      async [Symbol.asyncDispose]() {
        await reader[Symbol.asyncDispose]();
        await way[Symbol.asyncDispose]();
      },
    };
  };
}

for (const [name, connect] of [
  ['in memory, in one process', withoutSocket],
  ['in memory, in another process', overHttp],
] as const) {
  samplesContract(name, open('samples', connect));
  logsContract(name, open('logs', connect));
  eventsContract(name, open('events', connect));
}
