import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { createClient, createRouterTransport } from '@connectrpc/connect';
import type { ArtifactStore } from '@islet/artifacts';
import { routeOf, type WatchableRoutes } from '@islet/catalog';
import {
  isLoopbackHost,
  orchestratorProto,
  type SandboxLog,
  type SandboxSample,
  templateProto,
  volumesProto,
} from '@islet/contracts';
import { type Database, LOCAL_TEAM_LIMITS, migrate, openDatabase, seed, type WellKnown } from '@islet/db';
import { waitForFileLock } from '@islet/host';
import { type Orchestrator, startOrchestrator } from '@islet/orchestrator';
import type { Logger } from '@islet/telemetry';
import {
  type Builds,
  createRegistryPolicy,
  createShippedTemplates,
  createTemplateManagerService,
  openClientBuilds,
  type ShippedTemplates,
} from '@islet/template-manager';
import { databaseDir } from '../control/open.ts';
import type { Instance } from '../host/instance.ts';
import { makeLocalCredentials } from '../host/local-credentials.ts';
import { sandboxResolvers } from '../host/resolvers.ts';
import type { Layout } from '../layout.ts';
import { BASE_TEMPLATE_ID } from './base-template.ts';
import { LOCAL_HOST } from './claim.ts';
import type { UpConfig } from './config.ts';
import { settleWellKnown } from './credentials.ts';
import { driverKinds } from './drivers.ts';
import { closeServer, listen } from './listen.ts';
import { createNodeServer } from './node-server.ts';
import type { ProxyThread } from './proxies/proxy-thread.ts';
import { registryProxy } from './registry-proxy.ts';
import { Undo } from './undo.ts';

/** A database that a start can work with. */
export interface PreparedDatabase {
  db: Database;
  /** The local-dev team was made now. */
  isNew: boolean;
  /** Credentials that everybody knows and that are good here. */
  wellKnown: WellKnown;
}

/**
 * The database, with the schema, the local-dev team and no other well-known credentials than were asked for.
 * @throws StartRefused if others than this machine could use those.
 */
export async function openPreparedDatabase(
  config: UpConfig,
  instance: Instance,
  layout: Layout,
): Promise<PreparedDatabase> {
  const db = await openDatabase({
    url: config.databaseUrl,
    dataDir: databaseDir(instance),
    migrationsDir: layout.migrationsDir,
  });
  try {
    await migrate(db);
    const { isNew } = await seed(db, {
      limits: LOCAL_TEAM_LIMITS,
      credentials: () => makeLocalCredentials(instance.dataDir),
    });
    return { db, isNew, wellKnown: await settleWellKnown(db, config, isNew) };
  } catch (error) {
    await db.close();
    throw error;
  }
}

export type NodeClient = ReturnType<typeof createClient<typeof orchestratorProto.Orchestrator>>;

export type TemplateClient = ReturnType<typeof createClient<typeof templateProto.TemplateManager>>;

/** A build keeps a core busy; while one waits for its network, another may go on. */
const BUILDS_AT_ONCE = Math.max(2, availableParallelism());

export type VolumesClient = ReturnType<typeof createClient<typeof volumesProto.Volumes>>;

/** A dozen images with what is built on them; a template that is ready needs no layer any more. */
const LAYER_CACHE_BYTES = 20 * 1024 ** 3;

/** What runs sandboxes and builds templates on this machine. */
export interface Node extends AsyncDisposable {
  orchestrator: Orchestrator;
  shipped: ShippedTemplates;
  builds: Builds;
  /** Calls the orchestrator in this process, without a socket. */
  client: NodeClient;
  /** Calls the node's volumes, likewise. */
  volumes: VolumesClient;
  /** Calls the template manager, likewise. */
  templates: TemplateClient;
  ports: { sandboxProxy: number; orchestrator: number; templateManager: number };
}

export interface NodeOptions {
  /** What callers of the node's ports have to know. */
  token: string;
  /** What clients uploaded for COPY steps. */
  artifacts: ArtifactStore;
  /** Where the node's own proxy is opened. */
  proxies: ProxyThread;
  recordSample: (sample: SandboxSample) => void;
  recordLog: (log: SandboxLog) => void;
  config: UpConfig;
  instance: Instance;
  layout: Layout;
  version: string;
  logger: Logger;
}

export async function startNode(options: NodeOptions): Promise<Node> {
  const { config, instance, layout, proxies, version, logger } = options;
  const undo = new Undo();
  try {
    const orchestrator = await startOrchestrator({
      dataDir: instance.dataDir,
      runtimeDir: instance.runtimeDir,
      instance: instance.name,
      guestDir: layout.guestDir,
      volumeServer: layout.volumeServer,
      drivers: driverKinds(layout, config),
      recordSample: options.recordSample,
      isolation: config.isolation,
      recordLog: options.recordLog,
      warmMemoryMb: config.warmMemoryMb,
      freezeAfterMs: config.freezeAfterMs,
      dns: config.dns ?? (await resolversOfHost()),
      version,
      logger: logger.child({ component: 'orchestrator' }),
    });
    undo.add('the orchestrator', () => orchestrator.close());

    const sandboxProxy = await proxies.openNodeProxy({
      address: { host: LOCAL_HOST, port: config.sandboxProxyPort },
      routes: routesOf(orchestrator),
      onUse: (executionId, inUse) => orchestrator.use(executionId, inUse),
    });
    undo.add('the sandbox proxy', () => proxies.close('node'));

    const { templatesDir } = layout;
    const building = {
      templatesDir,
      cacheDir: config.cacheDir,
      debianMirror: config.debianMirror,
      runtime: orchestrator.templates,
      lock: waitForFileLock,
      logger: logger.child({ component: 'template-manager' }),
    };
    const shipped = createShippedTemplates(building);
    const builds = await openClientBuilds({
      ...building,
      dataDir: instance.dataDir,
      runtimeDir: instance.runtimeDir,
      instance: instance.name,
      files: options.artifacts,
      registries: {
        policy: createRegistryPolicy({
          allow: config.registryAllow,
          ownNetworks: isLoopbackHost(config.host),
        }),
        proxyFor: registryProxy(process.env),
      },
      baseBuildId: async () => (await shipped.spec('base', BASE_TEMPLATE_ID)).buildId,
      atOnce: BUILDS_AT_ONCE,
      layerCacheBytes: LAYER_CACHE_BYTES,
      now: Date.now,
    });
    undo.add('the builds', () => builds.close());
    const templateService = createTemplateManagerService(builds);
    const orchestratorServer = createNodeServer(options.token, (router) => {
      router.service(orchestratorProto.Orchestrator, orchestrator.service);
      router.service(volumesProto.Volumes, orchestrator.volumes);
    });
    const templateServer = createNodeServer(options.token, (router) =>
      router.service(templateProto.TemplateManager, templateService),
    );
    undo.add('the orchestrator service', () => closeServer(orchestratorServer));
    undo.add('the template manager service', () => closeServer(templateServer));
    const ports = {
      sandboxProxy,
      orchestrator: await listen(orchestratorServer, LOCAL_HOST, config.orchestratorPort),
      templateManager: await listen(templateServer, LOCAL_HOST, config.templateManagerPort),
    };

    const transport = createRouterTransport((router) => {
      router.service(orchestratorProto.Orchestrator, orchestrator.service);
      router.service(volumesProto.Volumes, orchestrator.volumes);
      router.service(templateProto.TemplateManager, templateService);
    });
    return {
      orchestrator,
      shipped,
      builds,
      client: createClient(orchestratorProto.Orchestrator, transport),
      volumes: createClient(volumesProto.Volumes, transport),
      templates: createClient(templateProto.TemplateManager, transport),
      ports,
      [Symbol.asyncDispose]: () => undo[Symbol.asyncDispose](),
    };
  } catch (error) {
    await undo[Symbol.asyncDispose]();
    throw error;
  }
}

/** To the node's sandboxes at their addresses, for as long as the node says that they are there. */
function routesOf(orchestrator: Orchestrator): WatchableRoutes {
  const place = { nodeId: '', proxyAddress: undefined, expiresAtMs: Number.POSITIVE_INFINITY };
  return {
    watch: async (listener) =>
      orchestrator.follow(({ kind, sandbox }) => {
        const route = routeOf(sandbox, place);
        const { sandboxId, executionId } = route;
        listener.changed(
          kind === 'changed' ? { kind: 'put', route } : { kind: 'remove', sandboxId, executionId },
        );
      }),
  };
}

/** systemd-resolved keeps the real ones in a file of its own, and names itself in /etc/resolv.conf. */
const RESOLV_CONFS = ['/run/systemd/resolve/resolv.conf', '/etc/resolv.conf'];

async function resolversOfHost(): Promise<string[]> {
  for (const path of RESOLV_CONFS) {
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text !== undefined) return sandboxResolvers(text);
  }
  return sandboxResolvers('');
}
