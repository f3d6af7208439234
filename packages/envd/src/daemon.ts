import { mkdirSync, readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { availableParallelism, networkInterfaces } from 'node:os';
import { posix } from 'node:path';
import { filesystemProto, processProto } from '@islet/contracts';
import { openWaitpid } from '@islet/posix-spawn';
import { createAccounts } from './accounts/account.ts';
import { fileRoutes } from './files/routes.ts';
import { createEntryReader } from './filesystem/entry.ts';
import { createFilesystemService } from './filesystem/service.ts';
import { PolledWatchers } from './filesystem/watchers.ts';
import { createHttpServer } from './http/server.ts';
import { statusRoutes } from './http/status-routes.ts';
import { Clock } from './init/clock.ts';
import { createIdentityFiles } from './init/identity.ts';
import { Initializer, VOLUMES_DIRECTORY } from './init/initializer.ts';
import { initRoute } from './init/routes.ts';
import { Journal } from './log/journal.ts';
import type { Logger } from './log/logger.ts';
import { MetricsReader } from './metrics/metrics.ts';
import { createCredentials } from './native/credentials.ts';
import { createDescriptorPassing } from './native/descriptor-passing.ts';
import { createDescriptors } from './native/descriptors.ts';
import { createMachine } from './native/machine.ts';
import { createMounts } from './native/mounts.ts';
import { createSpawner } from './native/spawn.ts';
import { createExtendedAttributes } from './native/xattr.ts';
import { outsideAddress } from './ports/address.ts';
import { PortForwarder } from './ports/forwarder.ts';
import { parseListeners } from './ports/listeners.ts';
import { type SudoServerDeps, serveSudo } from './privileges/sudo-server.ts';
import { endAllProcesses } from './process/end-all.ts';
import type { ProcessLimit } from './process/process-limit.ts';
import { Reaper } from './process/reaper.ts';
import { ProcessRegistry } from './process/registry.ts';
import { createProcessService } from './process/service.ts';
import { createSettings } from './settings.ts';
import { LivedTimers } from './standstill/lived-timers.ts';
import { unfreezeRoute } from './standstill/routes.ts';
import { removedFiles } from './volumes/removed-files.ts';
import { ServedVolumes } from './volumes/served-volumes.ts';

export interface DaemonOptions {
  /** 0 for any free one. */
  port: number;
  host: string;
  logger: Logger;
  /** PATH of the processes. */
  path: string | undefined;
  /** Stands in front of the paths of the files that tell the sandbox's identity. */
  identityRoot: string;
  /** True for the init process of a sandbox: only then are the clock and the host name envd's to change. */
  ownsMachine: boolean;
  /** The address that forwarded ports listen on, if it is not the one of the first outside interface. */
  forwardAddress?: string;
  /** Absent if nothing limits the programs that are started. */
  limit?: ProcessLimit;
  /** Present if this is a sandbox's own daemon, which starts sudo if that cannot start by itself. */
  sudo?: SudoOptions;
}

export interface SudoOptions {
  /** Path of the socket that the front connects to. */
  socket: string;
  /** The real sudo, which need not be there. */
  program: string;
  /** Puts the front into the image, or takes it away; called again whenever the image may have changed. */
  installFront: () => void;
}

export interface Daemon {
  port: number;
  /** Stops serving and watching. Processes that were started go on. */
  close(): Promise<void>;
}

/** Builds the daemon from its parts and starts it. One a process: it collects all children that end. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { logger } = options;
  const settings = createSettings();
  const accounts = createAccounts();
  const machine = createMachine();
  const attributes = createExtendedAttributes();
  const credentials = createCredentials();
  const reaper = new Reaper(openWaitpid());
  const tools = {
    credentials,
    reaper,
    spawner: createSpawner(credentials),
    descriptors: createDescriptors(),
    ...(options.limit && { limit: options.limit }),
  };
  const timers = new LivedTimers(() => performance.now());
  const registry = new ProcessRegistry({ ...tools, timers });
  const journal = new Journal(Date.now);
  const watchers = new PolledWatchers(machine.randomBytes);
  const metrics = new MetricsReader({
    now: Date.now,
    monotonicMs: () => performance.now(),
    cpuCount: availableParallelism,
    proc: '/proc',
  });
  const excludedPorts = new Set<number>();
  const forwarder = new PortForwarder({
    listeners: () => ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) => parseListeners(readIfThere(file))),
    address: () => options.forwardAddress ?? outsideAddress(networkInterfaces()),
    hasProcesses: () => reaper.hasChildren,
    excluded: excludedPorts,
    onError: (error) => logger.log('warn', 'cannot forward ports', { error }),
  });
  const mounts = options.ownsMachine ? createMounts() : undefined;
  const clock = new Clock({ machine: options.ownsMachine ? machine : undefined, now: Date.now, logger });
  const initializer = new Initializer({
    settings,
    logger,
    clock,
    timers,
    files: createIdentityFiles(options.identityRoot),
    machine: options.ownsMachine ? machine : undefined,
    mounts,
    servedVolumes: mounts && new ServedVolumes(VOLUMES_DIRECTORY, mounts),
    isAlone: () => options.ownsMachine && !reaper.hasChildren,
    endAllProcesses: options.ownsMachine
      ? async () => {
          watchers.close();
          await endAllProcesses({ killOthers: machine.endOtherProcesses, reaper, registry });
        }
      : undefined,
    random: machine,
    onApplied({ newSandbox }) {
      if (newSandbox) journal.clear();
      // After the answer: somebody is waiting for it to use the sandbox.
      setImmediate(() => {
        options.sudo?.installFront();
        if (!newSandbox) return;
        metrics.reset();
        forwarder.scan(); // the address may be another one since the last scan
      });
    },
  });
  const server = createHttpServer({
    settings,
    logger,
    routes: [
      ...statusRoutes({
        settings,
        readMetrics: () => metrics.read(),
        journal,
        keepClock: (toldMs) => clock.keep(toldMs),
        removedFiles: () => removedFiles(initializer.volumeDirectories()),
      }),
      ...fileRoutes({ settings, accounts, attributes, randomBytes: machine.randomBytes, now: Date.now }),
      initRoute(initializer),
      unfreezeRoute(timers),
    ],
    rpc(router) {
      router.service(
        processProto.Process,
        createProcessService({ settings, accounts, registry, journal, timers, path: options.path }),
      );
      router.service(
        filesystemProto.Filesystem,
        createFilesystemService({
          settings,
          accounts,
          watchers,
          reader: createEntryReader(accounts, attributes),
          randomBytes: machine.randomBytes,
        }),
      );
    },
  });

  // Whoever starts a program or types to one may have it listen.
  server.on('request', ({ url = '' }) => {
    if (url.startsWith(`/${processProto.Process.typeName}/`)) forwarder.wake();
  });
  const onChildSignal = () => reaper.reap();
  process.on('SIGCHLD', onChildSignal);
  reaper.onChildren(() => forwarder.wake());
  reaper.reap(); // children that were there, or ended, before anybody listened
  const stopSudo = options.sudo && startSudo(options.sudo, { settings, accounts, tools, logger });
  await listen(server, options);
  const { port } = server.address() as AddressInfo;
  excludedPorts.add(port);
  return {
    port,
    async close() {
      process.off('SIGCHLD', onChildSignal);
      stopSudo?.();
      forwarder.close();
      watchers.close();
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

function startSudo(sudo: SudoOptions, deps: Omit<SudoServerDeps, 'passing' | 'program'>): () => void {
  mkdirSync(posix.dirname(sudo.socket), { recursive: true });
  sudo.installFront();
  return serveSudo(sudo.socket, { ...deps, passing: createDescriptorPassing(), program: sudo.program });
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

/** tcp6 does not exist if IPv6 is off. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
