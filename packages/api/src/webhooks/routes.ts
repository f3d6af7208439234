import { randomUUID } from 'node:crypto';
import { invalidWebhookId, isUuid, tooManyWebhooks, webhookNotFound } from '@islet/contracts';
import {
  changeWebhook,
  countWebhooks,
  createWebhook,
  deleteWebhook,
  findWebhook,
  listWebhooks,
  stopOwed,
  type Webhook,
  whileCounted,
} from '@islet/db';
import { secretOwner } from '@islet/webhooks';
import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { access, callingTeam } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { ErrorShape, NoContent } from '../sandboxes/shapes.ts';
import { parseEvents, parseName, parseUrl } from './fields.ts';
import { NewWebhookShape, WebhookChangeShape, WebhookParams, WebhookShape } from './shapes.ts';

/** Of one team. */
const MOST_WEBHOOKS = 20;

const errors = { '4xx': ErrorShape };

/** The webhook that a request of its team names. @throws IsletError 400, 404 */
export async function ownWebhook(
  { db }: Pick<ApiContext, 'db'>,
  request: FastifyRequest<{ Params: Static<typeof WebhookParams> }>,
): Promise<Webhook> {
  const { webhookID } = request.params;
  if (!isUuid(webhookID)) throw invalidWebhookId(webhookID);
  const webhook = await findWebhook(db, webhookID.toLowerCase(), callingTeam(request).id);
  if (!webhook) throw webhookNotFound();
  return webhook;
}

/** Where teams say that they want to hear of their sandboxes. */
export function addWebhookRoutes(app: ApiApp, context: ApiContext): void {
  const { db, clock, dispatcher, destinations, sealing } = context;

  app.post(
    '/events/webhooks',
    {
      config: { access: access.team },
      schema: { body: NewWebhookShape, response: { 201: WebhookShape, ...errors } },
    },
    async (request, reply) => {
      const { id: teamId } = callingTeam(request);
      const { name, url, events, enabled, signatureSecret } = request.body;
      const id = randomUUID();
      const webhook = {
        ...{ id, teamId, enabled, activeSince: new Date(clock.now()) },
        name: parseName(name),
        url: parseUrl(url, destinations),
        events: parseEvents(events),
        sealedSecret: sealing.seal(signatureSecret, secretOwner({ id, teamId })),
      };
      const made = await whileCounted(db, teamId, async (tx) => {
        if ((await countWebhooks(tx, teamId)) >= MOST_WEBHOOKS) throw tooManyWebhooks(MOST_WEBHOOKS);
        return createWebhook(tx, webhook);
      });
      return reply.code(201).send(present(made));
    },
  );

  app.get(
    '/events/webhooks',
    {
      config: { access: access.teamRead },
      schema: { response: { 200: Type.Array(WebhookShape), ...errors } },
    },
    async (request) => (await listWebhooks(db, callingTeam(request).id)).map(present),
  );

  app.get(
    '/events/webhooks/:webhookID',
    {
      config: { access: access.teamRead },
      schema: { params: WebhookParams, response: { 200: WebhookShape, ...errors } },
    },
    async (request) => present(await ownWebhook(context, request)),
  );

  app.patch(
    '/events/webhooks/:webhookID',
    {
      config: { access: access.team },
      schema: { params: WebhookParams, body: WebhookChangeShape, response: { 200: WebhookShape, ...errors } },
    },
    async (request) => {
      const before = await ownWebhook(context, request);
      const { name, url, events, enabled, signatureSecret } = request.body;
      const now = new Date(clock.now());
      const change = {
        ...(name !== undefined && { name: parseName(name) }),
        ...(url !== undefined && { url: parseUrl(url, destinations) }),
        ...(events !== undefined && { events: parseEvents(events) }),
        ...(enabled !== undefined && { enabled }),
        ...(signatureSecret !== undefined && {
          sealedSecret: sealing.seal(signatureSecret, secretOwner(before)),
        }),
        // It hears of nothing that happened before it listened for it.
        ...((events !== undefined || (enabled && !before.enabled)) && { activeSince: now }),
      };
      if (Object.keys(change).length === 0) return present(before);
      const changed = await changeWebhook(db, before, change);
      if (!changed) throw webhookNotFound();
      if (enabled === false) {
        await stopOwed(db, before.id, now);
        dispatcher.cancel(before.id);
      }
      return present(changed);
    },
  );

  app.delete(
    '/events/webhooks/:webhookID',
    {
      config: { access: access.team },
      schema: { params: WebhookParams, response: { 200: NoContent, ...errors } },
    },
    async (request, reply) => {
      const webhook = await ownWebhook(context, request);
      if (!(await deleteWebhook(db, webhook))) throw webhookNotFound();
      dispatcher.cancel(webhook.id);
      return reply.code(200).send();
    },
  );
}

function present({
  id,
  teamId,
  name,
  url,
  events,
  enabled,
  createdAt,
}: Webhook): Static<typeof WebhookShape> {
  return { id, teamId, name, url, events, enabled, createdAt: createdAt.toISOString() };
}
