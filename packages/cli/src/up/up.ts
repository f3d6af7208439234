import { hostname } from 'node:os';
import { type Api, edgeService, localNode } from '@islet/api';
import { createMemoryRates, createMemoryReservations, createMemoryRoutes } from '@islet/catalog';
import type { Certificate } from '@islet/certificates';
import { isLoopbackHost, Undo } from '@islet/contracts';
import { placeOf } from '../cluster/api-cluster.ts';
import { localLinks } from '../cluster/links.ts';
import type { ClusterPlace } from '../control/administration.ts';
import { evaluateOtherFirewalls, probeOtherFirewalls } from '../doctor/checks/other-firewalls.ts';
import { runHost } from '../doctor/run.ts';
import { loadNodeId } from '../host/node-id.ts';
import type { PortWish } from '../host/ports.ts';
import type { ReadyInfo, Reporter } from '../output/reporter.ts';
import { openApi } from '../roles/api.ts';
import { openPreparedDatabase } from '../roles/database.ts';
import { openEdge, sandboxDomain } from '../roles/edge.ts';
import { startNode } from '../roles/node.ts';
import { openProcess, type ProcessOptions, serveUntil } from '../roles/processes/process.ts';
import { openMasterKeys } from '../roles/shared-secrets.ts';
import { openStores } from '../roles/stores.ts';
import { artifactsDir, openUploads } from '../roles/uploads.ts';
import { withoutRoot } from '../rootless/without-root.ts';
import { openNodeStore } from '../store/open.ts';
import { openCertificate } from './certificate.ts';
import { apiPorts, edgePorts, nodePorts } from './claim.ts';
import type { UpConfig } from './config.ts';
import { clientCredentials, tellWellKnown } from './credentials.ts';
import { FurtherTemplates } from './further-templates.ts';
import { closeServer, listen } from './listen.ts';
import { nearRoutes } from './near-routes.ts';
import { openOwnCluster, openOwnMembers } from './own-members.ts';
import { ProxyThread } from './proxies/proxy-thread.ts';
import { BASE_TEMPLATE_ID, ensureShipped, isNamed, shippedTemplate } from './shipped-template.ts';
import { webAccessOf } from './web-access.ts';

/**
 * Starts all roles in this process, waits for the signal, and takes them all down again.
 * @throws whatever kept it from starting; what had been started is stopped by then.
 */
export async function up(options: ProcessOptions<UpConfig>): Promise<void> {
  const config = withoutRoot(options.config);
  await serveUntil(options, async (undo) =>
    options.reporter.ready(await start({ ...options, config }, undo)),
  );
}

async function start(options: ProcessOptions<UpConfig>, undo: Undo): Promise<ReadyInfo> {
  const { config, layout, version, reporter, signal, clock } = options;
  const startedAt = clock();
  const { advertise } = config;
  const { instance, secrets, logger, unexpected, telemetry, ownPorts } = await openProcess(
    { service: 'islet', version },
    config,
    portsOf(config),
    undo,
  );
  signal.throwIfAborted();
  const storing = new Undo();
  undo.add('the stores', () => storing.run());
  const stores = await openStores({ instance, layout, config, logger }, storing);
  const masterKeys = await openMasterKeys(instance.dataDir, config);
  const uploads = openUploads(artifactsDir(instance, undefined), secrets, layout);
  const proxies = new ProxyThread({ program: layout.proxies, logLevel: config.logLevel, logger, telemetry });
  undo.add('the thread of the proxies', () => proxies[Symbol.asyncDispose]());
  const use = (certificate: Certificate) => proxies.useCertificate(certificate);
  const { certificate, trust } = await openCertificate({ config, instance, use, clock, logger });
  undo.add('the care for the certificate', () => certificate[Symbol.dispose]());
  const nodeId = await loadNodeId(instance.dataDir);
  const own =
    advertise === undefined
      ? undefined
      : await openOwnMembers({ dataDir: instance.dataDir, nodeId, advertise, clock, logger }, undo);
  const store = config.store && (await openNodeStore(config.store, { dataDir: instance.dataDir, logger }));
  // The two longest parts wait for different things: the database for one core, the node for the kernel.
  const starting = reporter.step('services', 'Starting the database and the node');
  const opening = openPreparedDatabase(config, instance, layout, secrets, masterKeys);
  // A start that its credentials forbid must leave what runs alone.
  if (!isLoopbackHost(config.host)) await opening;
  const [database, node] = await Promise.allSettled([
    opening,
    startNode({
      ...{ store, durablePause: config.durablePause },
      ...{ config, instance, layout, version, logger, proxies },
      artifacts: uploads.artifacts,
      pullsFromOwnNetworks: isLoopbackHost(config.host),
      links: own?.links ?? localLinks(secrets.nodeToken),
    }),
  ]);
  if (database.status === 'fulfilled') undo.add('the database', () => database.value.db.close());
  // Behind the node, which notes how its sandboxes end, and before the database, which hears of it.
  undo.add('the stores', () => storing.run());
  if (node.status === 'fulfilled') undo.add('the node', () => node.value[Symbol.asyncDispose]());
  if (database.status === 'rejected') throw database.reason;
  if (node.status === 'rejected') throw node.reason;
  starting.done('Database and node are up');
  const { shipped, orchestrator, builds, client, templates, volumes, outbox, credentials } = node.value;
  if (orchestrator.slowness !== undefined) reporter.note(orchestrator.slowness);
  await tellOtherFirewalls(reporter);
  signal.throwIfAborted();

  const { db, isNew, wellKnown } = database.value;
  const step: Reporter['step'] = (id, title) => reporter.step(id, title);
  const building = { db, shipped, runtime: orchestrator.templates, logger };
  const baseBuildId = await ensureShipped(
    { ...building, step },
    await shippedTemplate(shipped, 'base'),
    signal,
  );
  const { keepWarm } = orchestrator.templates;
  keepWarm(baseBuildId);
  const further = new FurtherTemplates({
    known: await shipped.list(),
    maker: {
      isOffered: ({ name }) => isNamed(db, name),
      isThere: ({ name }) => isNamed(db, name),
      async make(template, step, signal) {
        const buildId = await ensureShipped({ ...building, step }, template, signal, nodeId);
        keepWarm(buildId);
        return { buildId };
      },
    },
    logger,
  });
  undo.add('the builds of further templates', () => further[Symbol.asyncDispose]());
  for (const template of further.named(config.with)) await further.ensure(template, step, signal);
  await builds.resume();

  const serving = reporter.step('listen', 'Opening the API and the proxy');
  const routes = createMemoryRoutes(Date.now);
  const near = own && nearRoutes(routes, nodeId);
  // The edge opens before the API, whose answers name its port.
  let opened: Pick<Api, 'wake' | 'findSigner'> | undefined;
  const edge = await openEdge({
    ...{ config, proxies, routes: near?.routes ?? routes, certificate: certificate.first },
    links: own?.edge.credentials(),
    wake: async (...asked) => {
      const woken = (await opened?.wake(...asked)) ?? { kind: 'not-found' };
      return near?.outcome(woken) ?? woken;
    },
    findSigner: async (file) => opened?.findSigner(file),
  });
  undo.add('the edge', () => edge[Symbol.asyncDispose]());
  const stopRenewing = own?.edge.follow((credentials) => proxies.useLinks('edge', credentials));
  undo.add('the renewal of links', async () => stopRenewing?.());
  const domain = sandboxDomain(config, edge.port);
  const cluster = own && (await openOwnCluster({ own, node: node.value, db, secrets, masterKeys }, undo));
  let place: ClusterPlace | undefined;
  let edgeLink: number | undefined;
  const api = await openApi({
    ...{ config, instance, db, routes, secrets, masterKeys, unexpected, version, logger, domain },
    ...stores,
    ...uploads,
    reservations: createMemoryReservations(() => performance.now()),
    rateLimit: {
      rates: createMemoryRates(() => performance.now()),
      team: config.rateLimit,
      key: config.keyRateLimit,
    },
    discovery:
      cluster?.discovery ?? localNode(nodeId, { sandboxes: client, templates, volumes, outbox, credentials }),
    web: webAccessOf(config, hostname()),
    sandboxUrl: edge.url,
    furtherTemplates: further,
    further: config.buildOnUse ? further : undefined,
    cluster: () => place,
  });
  undo.add('the API', () => api[Symbol.asyncDispose]());
  opened = api;
  if (cluster && advertise !== undefined) {
    const { wake, findSigner } = api;
    const others = cluster.serve(edgeService({ routes, wake, findSigner, logger }));
    undo.add('the link of other machines', () => closeServer(others));
    edgeLink = await listen(others, advertise, config.edgeLinkPort);
    place = placeOf(cluster, advertise, edgeLink);
  }
  await further.renew();
  serving.done('API and proxy are open');
  const warning = tellWellKnown(wellKnown);
  if (warning !== undefined) reporter.note(warning);
  return {
    apiUrl: api.url,
    sandboxUrl: edge.url,
    ...(await clientCredentials(db, instance.dataDir)),
    isFirstStart: isNew,
    domain,
    trust,
    templateId: BASE_TEMPLATE_ID,
    dataDir: instance.dataDir,
    pid: process.pid,
    ports: {
      ...node.value.ports,
      ...{ api: api.port, clientProxy: edge.port },
      ...(edgeLink !== undefined && { edgeLink }),
      ...ownPorts,
    },
    startedInMs: Math.round(clock() - startedAt),
  };
}

/** What is to be free: of a cluster, also the link at which other machines join. */
function portsOf(config: UpConfig): PortWish[] {
  const { advertise, edgeLinkPort: port } = config;
  const link = { flag: 'edge-link-port', purpose: 'other machines', host: advertise ?? '', port };
  return [
    ...[...apiPorts(config), ...edgePorts(config), ...nodePorts(config, advertise)],
    ...(advertise === undefined ? [] : [link]),
  ];
}

/** Its own sandboxes have to pass the firewall of Docker and others, which may not let them. */
async function tellOtherFirewalls(reporter: Reporter): Promise<void> {
  for (const { status, detail, cause, fix } of evaluateOtherFirewalls(await probeOtherFirewalls(runHost))) {
    if (status !== 'ok') reporter.note(`${detail}: ${cause}. To let it through: ${fix}`);
  }
}
