import { hostname } from 'node:os';
import {
  type Api,
  type ApiDeps,
  createApi,
  type LogsSource,
  localNode,
  type MetricsSource,
} from '@islet/api';
import type { ArtifactStore } from '@islet/artifacts';
import { createMemoryReservations, createMemoryRoutes } from '@islet/catalog';
import { type Certificate, LOCAL_DOMAIN } from '@islet/client-proxy';
import type { Database } from '@islet/db';
import type { Logger } from '@islet/telemetry';
import { administrationOf } from '../control/administration.ts';
import { controlSocket } from '../control/open.ts';
import { serveControl } from '../control/socket.ts';
import type { Instance } from '../host/instance.ts';
import type { Secrets } from '../host/secrets.ts';
import { shareApi } from './api-connections.ts';
import type { UpConfig } from './config.ts';
import { urlHost } from './listen.ts';
import type { Node } from './node.ts';
import type { ProxyThread } from './proxies/proxy-thread.ts';
import { Undo } from './undo.ts';
import type { UnexpectedErrors } from './unexpected.ts';
import { webAccessOf } from './web-access.ts';

export interface ControlPlaneOptions {
  config: UpConfig;
  instance: Instance;
  db: Database;
  node: Node;
  /** Names it for good. */
  nodeId: string;
  /** Where the edge is opened. */
  proxies: ProxyThread;
  /** What it serves TLS with. */
  certificate: Certificate;
  secrets: Secrets;
  artifacts: ArtifactStore;
  uploads: NonNullable<ApiDeps['uploads']>;
  metrics: MetricsSource;
  logs: LogsSource;
  unexpected: UnexpectedErrors;
  version: string;
  logger: Logger;
}

/** The API and the edge, open to clients. */
export interface ControlPlane extends AsyncDisposable {
  apiUrl: string;
  sandboxUrl: string;
  domain: string;
  ports: { api: number; clientProxy: number };
}

/** Opens the edge first: the API's answers name its port. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { config, instance, db, node, proxies, certificate, secrets, version, logger } = options;
  const undo = new Undo();
  try {
    const routes = createMemoryRoutes(Date.now);
    const web = webAccessOf(config, hostname());
    // The edge opens before the API, whose answers name its port.
    let opened: Api | undefined;
    const clientProxy = await proxies.openEdge({
      address: { host: config.host, port: config.proxyPort },
      routes,
      wake: async (...asked) => (await opened?.wake(...asked)) ?? { kind: 'not-found' },
      findSigner: async (file) => opened?.findSigner(file),
      hosts: web.hosts,
      certificate,
    });
    undo.add('the client proxy', () => proxies.close('edge'));
    const domain = config.domain ?? `${LOCAL_DOMAIN}:${clientProxy}`;

    const api = await createApi({
      db,
      routes,
      reservations: createMemoryReservations(() => performance.now()),
      discovery: localNode(options.nodeId, {
        sandboxes: node.client,
        templates: node.templates,
        volumes: node.volumes,
      }),
      artifacts: options.artifacts,
      uploads: options.uploads,
      tokenSeed: secrets.tokenSeed,
      adminToken: secrets.adminToken,
      domain,
      metrics: options.metrics,
      web,
      secureByDefault: config.secureByDefault,
      volumeSizeMb: config.volumeSizeMb > 0 ? config.volumeSizeMb : undefined,
      logs: options.logs,
      logger: logger.child({ component: 'api' }),
    });
    shareApi(api.app.server);
    opened = api;
    undo.add('the API', () => api.app.close());

    const address = new URL(await api.app.listen({ host: config.host, port: config.apiPort }));
    const apiPort = Number(address.port);
    const apiUrl = `http://${urlHost(config.host)}:${apiPort}`;
    const sandboxUrl = `http://${urlHost(config.host)}:${clientProxy}`;
    const control = await serveControl({
      path: controlSocket(instance),
      administration: administrationOf(db, { node: node.client, forget: api.forget }),
      status: () => ({
        ...{ pid: process.pid, version, apiUrl, sandboxUrl },
        unexpectedErrors: options.unexpected.count,
      }),
    });
    undo.add('the control socket', () => control[Symbol.asyncDispose]());
    return {
      apiUrl,
      sandboxUrl,
      domain,
      ports: { api: apiPort, clientProxy },
      [Symbol.asyncDispose]: () => undo[Symbol.asyncDispose](),
    };
  } catch (error) {
    await undo[Symbol.asyncDispose]();
    throw error;
  }
}
