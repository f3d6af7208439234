import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type Client, type ConnectRouter, createClient, createRouterTransport } from '@connectrpc/connect';
import type { ArtifactStore } from '@islet/artifacts';
import { routeOf, type WatchableRoutes } from '@islet/catalog';
import {
  credentialsProto,
  nodeProto,
  orchestratorProto,
  outboxProto,
  peerProto,
  templateProto,
  Undo,
  volumesProto,
} from '@islet/contracts';
import { waitForFileLock } from '@islet/host';
import { CredentialQuestions, type Orchestrator, startOrchestrator } from '@islet/orchestrator';
import { EventSpool, Outbox, type OutboxClient, outboxService } from '@islet/sinks';
import type { ObjectStore } from '@islet/snapshots';
import { type Logger, traceAnswers, traceCalls } from '@islet/telemetry';
import {
  type Builds,
  createRegistryPolicy,
  createShippedTemplates,
  createTemplateManagerService,
  openClientBuilds,
  type ShippedTemplates,
} from '@islet/template-manager';
import type { NodeLinks } from '../cluster/links.ts';
import type { Instance } from '../host/instance.ts';
import { readResolvers } from '../host/resolvers.ts';
import type { Layout } from '../layout.ts';
import type { readNodeSettings } from '../up/config.ts';
import { driverKinds } from '../up/drivers.ts';
import { closeServer, listen } from '../up/listen.ts';
import type { ProxyThread } from '../up/proxies/proxy-thread.ts';
import { registryProxy } from '../up/registry-proxy.ts';
import { nodeCredentials, openEgressAuthority } from './egress-authority.ts';

export type NodeClient = ReturnType<typeof createClient<typeof orchestratorProto.Orchestrator>>;

export type TemplateClient = ReturnType<typeof createClient<typeof templateProto.TemplateManager>>;

/** A build keeps a core busy; while one waits for its network, another may go on. */
const BUILDS_AT_ONCE = Math.max(2, availableParallelism());

export type VolumesClient = ReturnType<typeof createClient<typeof volumesProto.Volumes>>;

/** A dozen images with what is built on them; a template that is ready needs no layer any more. */
const LAYER_CACHE_BYTES = 20 * 1024 ** 3;

/** Some 10 MB at the most, such as an hour of the samples of a hundred sandboxes. */
const OUTBOX = { characters: 8_000_000, lingerMs: 100 };

/** Some ten thousand events; read at each start, in a tenth of a second. */
const SPOOL_BYTES = 3_000_000;

/** What runs sandboxes and builds templates on this machine. */
export interface Node extends AsyncDisposable {
  orchestrator: Orchestrator;
  shipped: ShippedTemplates;
  builds: Builds;
  /** Calls the orchestrator in this process, without a socket. */
  client: NodeClient;
  /** Calls the node's volumes, likewise. */
  volumes: VolumesClient;
  /** Reads what the node has noted of its sandboxes, likewise. */
  outbox: OutboxClient;
  /** Says whom the node's proxy refuses, likewise. */
  neighbours: Client<typeof nodeProto.Neighbours>;
  /** What its sandboxes need of the control plane, likewise. */
  credentials: Client<typeof credentialsProto.Credentials>;
  /** Calls the template manager, likewise. */
  templates: TemplateClient;
  ports: { sandboxProxy: number; orchestrator: number; templateManager: number };
}

export type NodeSettings = ReturnType<typeof readNodeSettings>;

export interface NodeOptions {
  /** How the node answers its callers. */
  links: NodeLinks;
  /** What clients uploaded for COPY steps. */
  artifacts: ArtifactStore;
  /** Where the node's own proxy is opened. */
  proxies: ProxyThread;
  config: NodeSettings;
  /** What all nodes of the installation share; undefined: this is the only one. */
  store: ObjectStore | undefined;
  /** A pause is answered when the store has the sandbox. */
  durablePause: boolean;
  /** Whether images for builds may come from this machine and its private networks. */
  pullsFromOwnNetworks: boolean;
  /** Serves more to the node's callers. */
  addServices?: (router: ConnectRouter) => void;
  instance: Instance;
  layout: Layout;
  version: string;
  logger: Logger;
}

export async function startNode(options: NodeOptions): Promise<Node> {
  const { config, instance, layout, links, proxies, version, logger } = options;
  const undo = new Undo();
  try {
    const noting = logger.child({ component: 'outbox' });
    const spool = new EventSpool({
      ...{ dir: join(instance.dataDir, 'outbox'), bytesPerFile: SPOOL_BYTES, logger: noting },
    });
    undo.add('the spool of events', async () => spool[Symbol.dispose]());
    const outbox = new Outbox({ ...OUTBOX, spool, logger: noting });
    undo.add('the outbox', () => outbox.close());
    const questions = new CredentialQuestions();
    const authority = await openEgressAuthority(instance.dataDir, new Date());
    const orchestrator = await startOrchestrator({
      dataDir: instance.dataDir,
      runtimeDir: instance.runtimeDir,
      instance: instance.name,
      guestDir: layout.guestDir,
      volumeServer: layout.volumeServer,
      egressGateway: layout.egressGateway,
      credentials: nodeCredentials(questions, authority),
      egressAuthority: authority.cert,
      drivers: driverKinds(layout, config),
      sinks: outbox,
      memory: spool,
      isolation: config.isolation,
      warmMemoryMb: config.warmMemoryMb,
      freezeAfterMs: config.freezeAfterMs,
      ...{ store: options.store, durablePause: options.durablePause },
      connectPeer: (peer) => links.connect(peer),
      dns: config.dns ?? (await readResolvers()),
      version,
      logger: logger.child({ component: 'orchestrator' }),
    });
    undo.add('the orchestrator', () => orchestrator.close());

    const sandboxProxy = await proxies.openNodeProxy({
      address: { host: links.host, port: config.sandboxProxyPort },
      routes: routesOf(orchestrator),
      links: links.member?.credentials(),
      onUse: (executionId, inUse) => orchestrator.use(executionId, inUse),
    });
    const stopRenewing = links.member?.follow((credentials) => proxies.useLinks('node', credentials));
    undo.add('the renewal of links', async () => void stopRenewing?.());
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
          ownNetworks: options.pullsFromOwnNetworks,
        }),
        proxyFor: registryProxy(process.env),
      },
      baseBuildId: async () => (await shipped.spec('base')).buildId,
      atOnce: BUILDS_AT_ONCE,
      layerCacheBytes: LAYER_CACHE_BYTES,
      onLog: (log) => outbox.buildLogs.record(log),
      now: Date.now,
    });
    undo.add('the builds', () => builds.close());
    const templateService = createTemplateManagerService(builds);
    const addServices = (router: ConnectRouter) => {
      router.service(orchestratorProto.Orchestrator, orchestrator.service);
      router.service(volumesProto.Volumes, orchestrator.volumes);
      router.service(outboxProto.Outbox, outboxService(outbox));
      router.service(credentialsProto.Credentials, questions.service);
      router.rpc(nodeProto.Neighbours.method.refuseMembers, ({ memberIds }) => {
        proxies.refuse(memberIds);
        links.refuse(memberIds);
        return {};
      });
    };
    const orchestratorServer = links.serve(
      (router) => {
        addServices(router);
        options.addServices?.(router);
      },
      (router) => router.service(peerProto.Peer, orchestrator.peer),
    );
    const templateServer = links.serve((router) =>
      router.service(templateProto.TemplateManager, templateService),
    );
    undo.add('the orchestrator service', () => closeServer(orchestratorServer));
    undo.add('the template manager service', () => closeServer(templateServer));
    const ports = {
      sandboxProxy,
      orchestrator: await listen(orchestratorServer, links.host, config.orchestratorPort),
      templateManager: await listen(templateServer, links.host, config.templateManagerPort),
    };

    const transport = createRouterTransport(
      (router) => {
        addServices(router);
        router.service(templateProto.TemplateManager, templateService);
      },
      { transport: { interceptors: [traceCalls] }, router: { interceptors: [traceAnswers] } },
    );
    return {
      orchestrator,
      shipped,
      builds,
      client: createClient(orchestratorProto.Orchestrator, transport),
      volumes: createClient(volumesProto.Volumes, transport),
      outbox: createClient(outboxProto.Outbox, transport),
      credentials: createClient(credentialsProto.Credentials, transport),
      neighbours: createClient(nodeProto.Neighbours, transport),
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
