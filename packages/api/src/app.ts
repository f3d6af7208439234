import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { createMemoryNotices, createMemoryPending, type FindSigner, type Wake } from '@islet/catalog';
import { type SandboxLifeEvent, toErrorBody } from '@islet/contracts';
import type { Revoked } from '@islet/db';
import { createMemoryAudit, createMemoryDeliveries } from '@islet/sinks';
import { IdentityTokens, Secrets, SigningKeys, Vault } from '@islet/vault';
import { createDestinations, createSealing, Dispatcher, oweToWebhooks } from '@islet/webhooks';
import Fastify, { type FastifyReply } from 'fastify';
import { Type } from 'typebox';
import { addAdminRoutes } from './admin/routes.ts';
import { AuditTrail, useAudit } from './audit/trail.ts';
import { Authenticator } from './auth/authenticator.ts';
import { access, requireDeclaredAccess, useAuthentication } from './auth/guard.ts';
import type { ApiApp, ApiContext } from './context.ts';
import { CredentialAnswers } from './credentials/answers.ts';
import { type ApiDeps, systemClock } from './deps.ts';
import { hearEach } from './events/hear-each.ts';
import { addEventRoutes } from './events/routes.ts';
import { openApiFigures } from './figures.ts';
import { useBodyTimeout } from './http/body-timeout.ts';
import { useBoundedRequests } from './http/bounded.ts';
import { BODY_BYTES, HEAD_BYTES, PARAM_LENGTH } from './http/caps.ts';
import { useOrderlyClose } from './http/closing.ts';
import { useCors, type WebAccess } from './http/cors.ts';
import { toIsletError, useErrorShape } from './http/errors.ts';
import { useJsonBodies } from './http/json-body.ts';
import { useObservation } from './http/observed.ts';
import { useOpenApi } from './http/openapi.ts';
import { usePipelineLimit } from './http/pipelining.ts';
import { useUnderWayLimit } from './http/under-way.ts';
import { useSchemaValidation } from './http/validation.ts';
import { addIdentityRoutes } from './identity/routes.ts';
import { addKeyRoutes } from './keys/routes.ts';
import { addLogRoutes } from './logs/routes.ts';
import { addMetricsRoutes } from './metrics/routes.ts';
import type { NodeClient } from './nodes/link.ts';
import { LossNotes } from './nodes/loss-notes.ts';
import { addMoveRoutes } from './nodes/move-routes.ts';
import { Moves } from './nodes/moves.ts';
import { PausedRows } from './nodes/paused-rows.ts';
import { NodeRegistry } from './nodes/registry.ts';
import { addNodeRoutes } from './nodes/routes.ts';
import { SALVAGE_TIMES, Salvage } from './nodes/salvage.ts';
import { NodeStandings } from './nodes/standings.ts';
import { startNodes } from './nodes/start.ts';
import { StoreSweep, SWEEP_TIMES } from './nodes/store-sweep.ts';
import { CurrentSandboxes } from './sandboxes/current-sandboxes.ts';
import { KnownSandboxes } from './sandboxes/known-sandboxes.ts';
import { addLifetimeRoutes } from './sandboxes/lifetime-routes.ts';
import { addSandboxListRoutes } from './sandboxes/list-routes.ts';
import { MoveKeeper } from './sandboxes/move-keeper.ts';
import { addPauseRoutes } from './sandboxes/pause-routes.ts';
import { PausedQuota } from './sandboxes/paused-quota.ts';
import { createWake } from './sandboxes/resume.ts';
import { addSandboxRoutes } from './sandboxes/routes.ts';
import { createFindSigner } from './sandboxes/signers.ts';
import { isSecretsPath, toSecretsError } from './secrets/answers.ts';
import { addSecretRoutes } from './secrets/routes.ts';
import { addSnapshotRoutes } from './snapshots/routes.ts';
import { Metering } from './teams/metering.ts';
import { addTeamMetricsRoutes } from './teams/metrics-routes.ts';
import { addTeamRoutes } from './teams/routes.ts';
import { TeamUsage } from './teams/usage.ts';
import { addUsageRoutes } from './teams/usage-routes.ts';
import { Builds } from './templates/builds/builds.ts';
import { addBuildRequestRoutes } from './templates/builds/request-routes.ts';
import { addBuildRoutes } from './templates/builds/routes.ts';
import { NodesBuilds } from './templates/builds/shipped.ts';
import { addTemplateReadRoutes } from './templates/read-routes.ts';
import { TemplateResolver } from './templates/resolver.ts';
import { SpawnCounter } from './templates/spawn-counter.ts';
import { addTagRoutes } from './templates/tag-routes.ts';
import { addUploadRoutes } from './templates/upload-routes.ts';
import { startUploadSweep } from './templates/upload-sweep.ts';
import { addTemplateWriteRoutes } from './templates/write-routes.ts';
import { addVerdictRoutes } from './verdicts/routes.ts';
import { addVolumeContentRoutes } from './volumes/content-routes.ts';
import { addVolumeRoutes } from './volumes/routes.ts';
import { createVolumeTokens } from './volumes/token.ts';
import { addDeliveryRoutes } from './webhooks/delivery-routes.ts';
import { addWebhookRoutes } from './webhooks/routes.ts';

/** Nobody but programs, and pages that the API itself would serve, by names of this machine. */
const LOCAL_WEB: WebAccess = { hosts: [], origins: [] };
/** Longest wait for a request to arrive in full, if its route sets no other. */
const REQUEST_TIMEOUT_MS = 70_000;
/** Longest wait for a request's headers. */
const HEADERS_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 620_000;
/** What is under way when the API closes has so long: less than `deploy/` gives the process. */
const CLOSING_MS = 45_000;
/** Of what nobody keeps elsewhere: some 10 MB. */
const DELIVERIES_KEPT = { attemptsPerWebhook: 1_000, attempts: 5_000 };
const AUDIT_KEPT = { most: 10_000 };
/** Of one team. */
const MOST_SECRETS = 1_000;
/** A node that is silent for so long has died, as far as anybody can know. */
const NODE_LOSS_MS = 14_000;

export interface Api {
  app: ApiApp;
  /** Resumes a paused sandbox for the edge, if its owner wants that. */
  wake: Wake;
  /** Says for the edge whose signature a file URL has. */
  findSigner: FindSigner;
  /** The ways to the nodes that there are now. */
  nodeClients(): readonly NodeClient[];
  /** Has a node build a template that ships with Islet. */
  readonly nodesBuilds: NodesBuilds;
  /** Refuses credentials that were taken back in the database from the next request on. */
  forget(revoked: Revoked): void;
  /**
   * Takes what happened to sandboxes, for webhooks and for what teams use. Resolves when the database has it; may be called until that
   * is closed. What is told again changes nothing.
   */
  hear(events: readonly SandboxLifeEvent[]): Promise<void>;
  readonly audit: AuditTrail;
  readonly metering: Metering;
  readonly dispatcher: Dispatcher;
  readonly vault: Vault;
}

/**
 * The control plane's HTTP service. It is not listening yet: `await app.listen(…)`. Becoming ready fills the routes
 * from the nodes; closing ends all that it does in the background, but leaves `db`, `routes` and `reservations` as they are.
 */
export async function createApi(deps: ApiDeps): Promise<Api> {
  const app: ApiApp = Fastify({
    bodyLimit: BODY_BYTES,
    // Each route has its own: uploads take longer than anything else.
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: 'idle',
    http: { headersTimeout: HEADERS_TIMEOUT_MS, maxHeaderSize: HEAD_BYTES },
    routerOptions: { maxParamLength: PARAM_LENGTH },
    // Paths that cannot be decoded never reach a handler.
    frameworkErrors: (error, request, reply) => {
      const isOfSecrets = isSecretsPath(request.url);
      const known = isOfSecrets ? toSecretsError(toIsletError(error)) : toIsletError(error);
      if (isOfSecrets) reply.header('Cache-Control', 'no-store');
      void (reply as FastifyReply).code(known.status).send(toErrorBody(known));
    },
  }).withTypeProvider<TypeBoxTypeProvider>();
  const context = buildContext(deps);

  useOrderlyClose(app, CLOSING_MS);
  useObservation(app);
  useErrorShape(app, deps.logger);
  usePipelineLimit(app);
  useBodyTimeout(app, REQUEST_TIMEOUT_MS);
  useSchemaValidation(app);
  useBoundedRequests(app);
  useJsonBodies(app);
  requireDeclaredAccess(app);
  useCors(app, deps.web ?? LOCAL_WEB);
  useOpenApi(app, { title: 'Islet', version: '0.1.0' });
  useAuthentication(app, context.authenticator, deps.rateLimit);
  useUnderWayLimit(app);
  useAudit(app, context.audit, context.clock);
  addHealthRoute(app);
  for (const addRoutes of [
    addSandboxRoutes,
    addSandboxListRoutes,
    addLifetimeRoutes,
    addPauseRoutes,
    addSnapshotRoutes,
    addMetricsRoutes,
    addLogRoutes,
    addEventRoutes,
    addWebhookRoutes,
    addDeliveryRoutes,
    addTemplateReadRoutes,
    addTemplateWriteRoutes,
    addTagRoutes,
    addBuildRequestRoutes,
    addBuildRoutes,
    addUploadRoutes,
    addTeamRoutes,
    addTeamMetricsRoutes,
    addUsageRoutes,
    addKeyRoutes,
    addNodeRoutes,
    addMoveRoutes,
    addAdminRoutes,
    addVerdictRoutes,
    addVolumeRoutes,
    addVolumeContentRoutes,
    addSecretRoutes,
    addIdentityRoutes,
  ]) {
    addRoutes(app, context);
  }

  const sweep = startUploadSweep(context.artifacts, context.clock, deps.logger);
  const moves = new MoveKeeper(context, deps.moves);
  const salvage = new Salvage({
    ...context,
    times: { ...SALVAGE_TIMES, afterMs: deps.nodeLossMs ?? NODE_LOSS_MS, ...deps.salvage },
  });
  const storeSweep = new StoreSweep({ ...context, times: { ...SWEEP_TIMES, ...deps.storeSweep } });
  const figures = openApiFigures(context);
  let nodesStarted: AsyncDisposable | undefined;
  let answers: CredentialAnswers | undefined;
  app.addHook('onReady', async () => {
    await context.vault.settle();
    await context.standings.start();
    context.templates.start();
    const { nodes } = context;
    nodesStarted = await startNodes({
      nodes,
      rows: context.rows,
      contents: deps.contents,
      logger: deps.logger,
    });
    context.current.start();
    moves.start();
    salvage.start();
    storeSweep.start();
    context.dispatcher.start();
    context.metering.start();
    answers = new CredentialAnswers({ ...context, discovery: deps.discovery });
    await context.builds.resume();
  });
  app.addHook('onClose', async () => {
    figures[Symbol.dispose]();
    context.usage.close();
    context.current.stop();
    await answers?.[Symbol.asyncDispose]();
    await Promise.all([context.dispatcher[Symbol.asyncDispose](), context.metering[Symbol.asyncDispose]()]);
    await Promise.all([moves, salvage, storeSweep].map((each) => each[Symbol.asyncDispose]()));
    await nodesStarted?.[Symbol.asyncDispose]();
    await Promise.all([context.nodes.stop(), context.builds.close(), sweep.close()]);
    await context.standings[Symbol.asyncDispose]();
    await context.rows.settled();
    await Promise.all([context.authenticator.close(), context.templates.close(), context.spawns.flush()]);
    await context.audit[Symbol.asyncDispose]();
  });
  return {
    app,
    wake: createWake(context),
    findSigner: createFindSigner(context.sandboxes),
    nodeClients: () => context.nodes.all.map(({ link }) => link.sandboxes),
    nodesBuilds: new NodesBuilds(context),
    forget: (revoked) => context.authenticator.forget(revoked),
    hear: context.hear,
    audit: context.audit,
    metering: context.metering,
    dispatcher: context.dispatcher,
    vault: context.vault,
  };
}

function buildContext(deps: ApiDeps): ApiContext {
  const { db, routes, reservations, discovery, logger, adminToken, clock = systemClock } = deps;
  const sandboxes = deps.sandboxes ?? new KnownSandboxes();
  const notices = deps.notices ?? createMemoryNotices();
  const templates = new TemplateResolver({ db, notices, clock, logger, further: deps.further });
  const destinations = createDestinations(deps.webhookAllow ?? []);
  const sealing = createSealing(deps.tokenSeed);
  const deliveries = deps.deliveries ?? createMemoryDeliveries(DELIVERIES_KEPT);
  const now = () => clock.now();
  const dispatcher = new Dispatcher({
    ...{ db, deliveries, destinations, sealing, retries: deps.webhookRetries, logger, now },
    version: deps.version ?? 'development',
  });
  const metering = new Metering({ db, sandboxes, now, logger });
  const take = async (events: readonly SandboxLifeEvent[]) => {
    await metering.hear(events);
    await oweToWebhooks(db, events, now());
    dispatcher.wake();
  };
  const hear = hearEach(take, logger);
  const rows = new PausedRows(db, deps.tokenSeed, logger);
  const moves = new Moves(db, logger);
  const standings = new NodeStandings({ db, notices, clock, logger });
  const nodes = new NodeRegistry({
    ...{ standings, discovery, sandboxes, routes, reservations, rows, moves, clock, logger },
    random: Math.random,
    losses: new LossNotes(
      {
        async write(events) {
          await deps.lossEvents?.write(events);
          await hear(events);
        },
      },
      logger,
    ),
    hearings: deps.hearings,
    lossAfterMs: deps.nodeLossMs ?? NODE_LOSS_MS,
  });
  const vault = new Vault(db, deps.masterKeys);
  const current = new CurrentSandboxes({ known: sandboxes, routes, nodes, logger });
  return {
    ...deps,
    clock,
    sandboxes,
    current,
    paused: new PausedQuota(current, deps.pending ?? createMemoryPending(() => clock.monotonic())),
    volumeTokens: createVolumeTokens({ tokenSeed: deps.tokenSeed, domain: deps.domain, clock }),
    authenticator: new Authenticator({ db, clock, logger, adminToken }),
    templates,
    builds: new Builds({ db, nodes, logger, onReady: () => templates.changed() }),
    spawns: new SpawnCounter(db, logger),
    usage: new TeamUsage({ reservations, teams: deps.teams, now: () => clock.now(), logger }),
    nodes,
    standings,
    rows,
    vault,
    secrets: new Secrets({ vault, now, mostPerTeam: MOST_SECRETS }),
    identity: new IdentityTokens({ keys: new SigningKeys({ vault, now }), issuer: deps.issuer, now }),
    ...{ destinations, sealing, deliveries, dispatcher, metering, hear },
    audit: new AuditTrail({ store: deps.audit ?? createMemoryAudit(AUDIT_KEPT), db, logger }),
  };
}

function addHealthRoute(app: ApiApp): void {
  app.get(
    '/health',
    { config: { access: access.open }, schema: { response: { 200: Type.String() } } },
    async (_request, reply) => reply.type('text/plain; charset=utf-8').send('Health check successful'),
  );
}
