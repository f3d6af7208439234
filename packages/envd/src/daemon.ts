import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { processProto } from '@islet/contracts';
import { createAccounts } from './accounts/account.ts';
import { createHttpServer } from './http/server.ts';
import type { Logger } from './log/logger.ts';
import { createCredentials } from './native/credentials.ts';
import { createDescriptors } from './native/descriptors.ts';
import { createSpawner } from './native/spawn.ts';
import { createWaiter } from './native/wait.ts';
import { Reaper } from './process/reaper.ts';
import { ProcessRegistry } from './process/registry.ts';
import { createProcessService } from './process/service.ts';
import { createSettings } from './settings.ts';

export interface DaemonOptions {
  port: number;
  host: string;
  logger: Logger;
  /** PATH of the processes. */
  path: string | undefined;
}

export interface Daemon {
  port: number;
  close(): Promise<void>;
}

/** Builds the daemon from its parts and starts it. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const settings = createSettings();
  const accounts = createAccounts();
  const credentials = createCredentials();
  const reaper = new Reaper(createWaiter());
  const registry = new ProcessRegistry({
    credentials,
    reaper,
    spawner: createSpawner(credentials),
    descriptors: createDescriptors(),
  });
  const onChildSignal = () => reaper.reap();
  process.on('SIGCHLD', onChildSignal);
  const server = createHttpServer({
    settings,
    logger: options.logger,
    routes: [],
    rpc: (router) => {
      router.service(
        processProto.Process,
        createProcessService({ settings, accounts, registry, path: options.path }),
      );
    },
  });
  await listen(server, options);
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      process.off('SIGCHLD', onChildSignal);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function listen(server: Server, { port, host }: DaemonOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
