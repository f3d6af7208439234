import { deliveryNotFound, invalidDeliveryCursor, invalidDeliveryRange, isUuid } from '@islet/contracts';
import { listOwed, type OwedView, replayOwed } from '@islet/db';
import type { DeliveryAttempt, DeliveryGroup, DeliveryPlace, DeliveryStatus } from '@islet/sinks';
import { type Static, Type } from 'typebox';
import { access } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { PAGE_BYTES } from '../http/caps.ts';
import { ErrorShape } from '../sandboxes/shapes.ts';
import { ownWebhook } from './routes.ts';
import {
  DeliveriesQuery,
  DeliveriesShape,
  OwedListShape,
  OwedQuery,
  StatsQuery,
  StatsShape,
  WebhookParams,
} from './shapes.ts';
import { statsOf, statsRange } from './stats.ts';

const errors = { '4xx': ErrorShape };
const STATUSES: readonly DeliveryStatus[] = ['success', 'failed'];

/** What webhooks were sent, are owed, and are sent again. */
export function addDeliveryRoutes(app: ApiApp, context: ApiContext): void {
  const { db, clock, deliveries, dispatcher } = context;

  app.get(
    '/events/webhooks/:webhookID/deliveries',
    {
      config: { access: access.teamRead },
      schema: {
        params: WebhookParams,
        querystring: DeliveriesQuery,
        response: { 200: DeliveriesShape, ...errors },
      },
    },
    async (request) => {
      const { id: webhookId, teamId } = await ownWebhook(context, request);
      const { cursor, limit, orderAsc, start, end, deliveryStatus, eventType } = request.query;
      const statuses = deliveryStatus?.split(',');
      const found = await deliveries.groups({
        ...{ teamId, webhookId, order: orderAsc ? 'ascending' : 'descending', limit: limit + 1 },
        statuses: statuses && STATUSES.filter((status) => statuses.includes(status)),
        eventTypes: eventType?.split(','),
        startMs: start === undefined ? undefined : Date.parse(start),
        endMs: end === undefined ? undefined : Date.parse(end),
        after: cursor === undefined ? undefined : parseCursor(cursor),
      });
      const data = pageOf(found, limit);
      const last = found[data.length - 1];
      return { data, nextCursor: found.length > data.length && last ? formatCursor(last) : null };
    },
  );

  app.get(
    '/events/webhooks/:webhookID/stats',
    {
      config: { access: access.teamRead },
      schema: { params: WebhookParams, querystring: StatsQuery, response: { 200: StatsShape, ...errors } },
    },
    async (request) => {
      const { id: webhookId, teamId } = await ownWebhook(context, request);
      const range = statsRange(request.query, clock.now());
      if (typeof range === 'string') throw invalidDeliveryRange(range);
      return statsOf(await deliveries.stats({ teamId, webhookId, ...range }), range);
    },
  );

  app.get(
    '/events/webhooks/:webhookID/owed',
    {
      config: { access: access.teamRead },
      schema: { params: WebhookParams, querystring: OwedQuery, response: { 200: OwedListShape, ...errors } },
    },
    async (request) => {
      const { id: webhookId } = await ownWebhook(context, request);
      return (await listOwed(db, { webhookId, ...request.query })).map(presentOwed);
    },
  );

  app.post(
    '/events/webhooks/:webhookID/deliveries/:eventID/replay',
    {
      config: { access: access.team },
      schema: {
        params: Type.Object({ webhookID: Type.String(), eventID: Type.String() }),
        response: { 202: Type.Object({ eventId: Type.String() }), ...errors },
      },
    },
    async (request, reply) => {
      const { id: webhookId } = await ownWebhook(context, request);
      const { eventID: eventId } = request.params;
      const at = new Date(clock.now());
      const count = isUuid(eventId) ? await replayOwed(db, { webhookId, eventId, at }) : 0;
      if (count === 0) throw deliveryNotFound(eventId);
      dispatcher.wake();
      return reply.code(202).send({ eventId });
    },
  );

  app.post(
    '/events/webhooks/:webhookID/replay',
    {
      config: { access: access.team },
      schema: {
        params: WebhookParams,
        response: {
          202: Type.Object({ count: Type.Integer({ description: 'Dead events that are sent again' }) }),
          ...errors,
        },
      },
    },
    async (request, reply) => {
      const { id: webhookId } = await ownWebhook(context, request);
      const count = await replayOwed(db, { webhookId, at: new Date(clock.now()) });
      dispatcher.wake();
      return reply.code(202).send({ count });
    },
  );
}

/** Groups as clients see them: as many as fit, and one at least. */
function pageOf(groups: readonly DeliveryGroup[], limit: number) {
  const page = [];
  let bytes = 0;
  for (const group of groups.slice(0, limit)) {
    const shown = { ...group, attempts: group.attempts.map(present) };
    bytes += Buffer.byteLength(JSON.stringify(shown));
    if (page.length > 0 && bytes > PAGE_BYTES) break;
    page.push(shown);
  }
  return page;
}

function present({ timeMs, request, response, ...attempt }: DeliveryAttempt) {
  return {
    ...attempt,
    requestBody: request.body,
    requestUrl: request.url,
    requestHeaders: JSON.stringify(request.headers),
    responseBody: response?.body ?? null,
    responseHeaders: response ? JSON.stringify(response.headers) : null,
    responseHttpStatusCode: response?.status ?? null,
    timestamp: new Date(timeMs).toISOString(),
  };
}

function presentOwed(owed: OwedView): Static<typeof OwedListShape>[number] {
  const { eventId, eventType, sandboxId, eventAt, state, attempts, dueAt, lastError } = owed;
  return {
    ...{ eventId, eventType, sandboxId, eventTimestamp: eventAt.toISOString(), state, attempts },
    nextAttemptAt: state === 'pending' ? dueAt.toISOString() : null,
    lastError,
  };
}

/** Names the place behind a group. */
function formatCursor({ eventId, attempts: [newest] }: DeliveryGroup): string {
  return Buffer.from(`${newest?.timeMs}_${eventId}`).toString('base64url');
}

/** @throws IsletError 400 */
function parseCursor(text: string): DeliveryPlace {
  const [time = '', eventId = ''] = Buffer.from(text, 'base64url').toString('utf8').split('_');
  if (!/^\d{1,15}$/.test(time) || !isUuid(eventId)) throw invalidDeliveryCursor();
  return { timeMs: Number(time), eventId };
}
