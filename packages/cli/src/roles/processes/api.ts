import type { Server } from 'node:http';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { edgeService, listedNodes, type NodeDiscovery, staticNodes } from '@islet/api';
import { ConsulAgent, type ServiceEntry } from '@islet/consul';
import { edgeProto, type Undo } from '@islet/contracts';
import { listShipped } from '@islet/template-manager';
import {
  type ApiCluster,
  type ApiClusterOptions,
  openApiCluster,
  placeOf,
} from '../../cluster/api-cluster.ts';
import { NodeCatalogue, tokenNodes } from '../../consul/catalogue.ts';
import { registerWith } from '../../consul/register.ts';
import { SERVICES } from '../../consul/service.ts';
import type { ClusterPlace } from '../../control/administration.ts';
import { credentialFile } from '../../host/local-credentials.ts';
import { apiPorts, LOCAL_HOST } from '../../up/claim.ts';
import { tellWellKnown } from '../../up/credentials.ts';
import { FurtherTemplates } from '../../up/further-templates.ts';
import { closeServer, listen, urlHost } from '../../up/listen.ts';
import { createNodeServer } from '../../up/node-server.ts';
import { webAccessOf } from '../../up/web-access.ts';
import { type ApiRole, openApi } from '../api.ts';
import { registerBaseOfNodes } from '../bases.ts';
import type { ApiConfig } from '../config.ts';
import { openPreparedDatabase } from '../database.ts';
import { sandboxDomain } from '../edge.ts';
import { furtherOfNodes } from '../further-of-nodes.ts';
import { openLive } from '../live.ts';
import { readNodesFile } from '../nodes-file.ts';
import { openMasterKeys, readSharedSecrets } from '../shared-secrets.ts';
import { openStores } from '../stores.ts';
import { readRoleToken } from '../token.ts';
import { artifactsDir, openUploads } from '../uploads.ts';
import { openProcess, type ProcessOptions, serveUntil } from './process.ts';

/** How long the start waits for a node to tell of its template `base`, ms: one that builds it takes minutes. */
const BASE_MS = 5_000;

/** `islet api`: the control plane, for edges and nodes in other processes. */
export function runApi(options: ProcessOptions<ApiConfig>): Promise<void> {
  const { config, layout, version, reporter, signal, clock } = options;
  return serveUntil(options, async (undo) => {
    const startedAt = clock();
    const link = {
      flag: 'edge-link-port',
      purpose: 'the edges',
      host: config.advertise ?? LOCAL_HOST,
      port: config.edgeLinkPort,
    };
    const {
      instance,
      secrets: own,
      logger,
      unexpected,
      ownPorts,
    } = await openProcess({ service: 'islet-api', version }, config, [...apiPorts(config), link], undo);
    const secrets = await readSharedSecrets(own, config.secretsDir);
    const masterKeys = await openMasterKeys(instance.dataDir, config);
    const live = await openLive(config.redis, logger);
    undo.add('the store of what is live', () => live[Symbol.asyncDispose]());
    const { db, isNew, wellKnown } = await openPreparedDatabase(
      config,
      instance,
      layout,
      secrets,
      masterKeys,
    );
    undo.add('the database', () => db.close());
    signal.throwIfAborted();
    const { discovery, serveEdges, cluster } = await openNeighbours(
      {
        ...{ config, db, notices: live.notices, secrets, masterKeys, clock, logger },
        nodeToken: own.nodeToken,
        dataDir: instance.dataDir,
      },
      undo,
    );
    const bases = registerBaseOfNodes(discovery, db, logger);
    undo.add('the registration of the base template', () => bases[Symbol.asyncDispose]());
    // The first API of a cluster starts before any node has joined.
    if (bases.hasNodes) await Promise.race([bases.done, sleep(BASE_MS, undefined, { ref: false })]);

    const { routes, reservations, rates, notices, hearings, pending, contents } = live;
    const sandboxUrl = `http://${urlHost(config.host)}:${config.proxyPort}`;
    let place: ClusterPlace | undefined;
    const further = new FurtherTemplates({
      known: await listShipped(layout.templatesDir),
      maker: furtherOfNodes(db, async () => (await opening).nodesBuilds),
      logger,
    });
    const wanted = further.named(config.with);
    const opening: Promise<ApiRole> = openApi({
      ...{ config, instance, db, secrets, masterKeys, unexpected, version, logger, sandboxUrl },
      ...{ routes, reservations, notices, hearings, pending, contents },
      rateLimit: { rates, team: config.rateLimit, key: config.keyRateLimit },
      ...openUploads(artifactsDir(instance, config.artifactsDir), secrets, layout),
      ...(await openStores({ instance, layout, config, logger }, undo)),
      discovery,
      cluster: () => place,
      web: webAccessOf(config, hostname()),
      domain: sandboxDomain(config, config.proxyPort),
      furtherTemplates: further,
      further: config.buildOnUse ? further : undefined,
    });
    const api = await opening;
    undo.add('the API', () => api[Symbol.asyncDispose]());
    undo.add('the wait for further templates', () => further[Symbol.asyncDispose]());
    // Nodes join a cluster whose API serves: it waits for none.
    for (const template of wanted) await further.build(template);
    await further.renew();
    const { wake, findSigner } = api;
    const edges = serveEdges(edgeService({ routes, wake, findSigner, logger }));
    undo.add('the link of the edges', () => closeServer(edges));
    const edgeLink = await listen(edges, link.host, config.edgeLinkPort);
    if (cluster) place = placeOf(cluster, link.host, edgeLink);
    const address = config.advertise ?? config.host;
    registerWith(config.consul, apiEntry(address, config.host, api.port), logger, undo);
    const warning = tellWellKnown(wellKnown);
    if (warning !== undefined) reporter.note(warning);
    if (isNew) reporter.note(`The first API key is in ${credentialFile(instance.dataDir, 'apiKey')}`);
    reporter.serving({
      ...{ role: 'api', dataDir: instance.dataDir, pid: process.pid },
      ...{ urls: { api: api.url }, ports: { api: api.port, edgeLink, ...ownPorts } },
      startedInMs: Math.round(clock() - startedAt),
    });
  });
}

/** Its check asks for its health where it listens. */
function apiEntry(address: string, host: string, port: number): ServiceEntry {
  const health = `http://${urlHost(host)}:${port}/health`;
  return {
    ...{ id: `${SERVICES.api}-${port}`, name: SERVICES.api, address, port, meta: {} },
    check: { http: health },
  };
}

interface NeighboursOptions extends ApiClusterOptions {
  config: ApiConfig;
  /** Of this data directory. */
  nodeToken: string;
}

/** What an API works with beside its database. */
interface Neighbours {
  /** Undefined if there is none. */
  cluster: ApiCluster | undefined;
  discovery: NodeDiscovery;
  serveEdges(service: ReturnType<typeof edgeService>): Server;
}

/** Those of a list, which share a token with the API on this machine, or those that join the cluster. */
async function openNeighbours(options: NeighboursOptions, undo: Undo): Promise<Neighbours> {
  const { config, nodeToken, logger } = options;
  const catalogue = config.consul && new NodeCatalogue({ agent: new ConsulAgent(config.consul), logger });
  undo.add('the watch of the nodes in Consul', async () => catalogue?.[Symbol.dispose]());
  if (config.advertise !== undefined) {
    const cluster = await openApiCluster({ ...options, catalogue }, undo);
    return { cluster, discovery: cluster.discovery, serveEdges: cluster.serve };
  }
  const token = await readRoleToken(config.token, nodeToken);
  return {
    cluster: undefined,
    discovery: catalogue
      ? listedNodes(tokenNodes(catalogue, token))
      : staticNodes(await readNodesFile(config.nodesFile ?? '', token)),
    serveEdges: (service) =>
      createNodeServer(token, (router) => router.service(edgeProto.ControlPlane, service)),
  };
}
