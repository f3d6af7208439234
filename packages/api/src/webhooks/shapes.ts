import { EVENT_PREFIX, EVENT_TYPES } from '@islet/contracts';
import { DELIVERY_ERRORS } from '@islet/sinks';
import { Type } from 'typebox';

/** As events are called in webhooks. */
export const EVENT_NAMES = EVENT_TYPES.map((type) => EVENT_PREFIX + type);

const nullable = <T extends ReturnType<typeof Type.String> | ReturnType<typeof Type.Integer>>(schema: T) =>
  Type.Union([schema, Type.Null()]);
const Uuid = Type.String({ format: 'uuid' });
const DateTime = Type.String({ format: 'date-time' });

export const WebhookShape = Type.Object({
  id: Uuid,
  teamId: Type.String(),
  name: Type.String(),
  url: Type.String(),
  events: Type.Array(Type.String()),
  enabled: Type.Boolean(),
  createdAt: DateTime,
});

/** What a field must be says `fields.ts`, with a message that names it. */
const fields = {
  name: Type.String({ maxLength: 1024 }),
  url: Type.String({ maxLength: 2048, description: 'http or https, without credentials' }),
  events: Type.Array(Type.String({ maxLength: 256 }), { maxItems: 100, description: EVENT_NAMES.join(', ') }),
  signatureSecret: Type.String({
    minLength: 1,
    maxLength: 256,
    description: 'What deliveries are signed with',
  }),
};

export const NewWebhookShape = Type.Object({
  ...fields,
  enabled: Type.Boolean({ default: true, description: 'Whether anything is sent' }),
});

/** No default: what is not named stays. */
export const WebhookChangeShape = Type.Partial(Type.Object({ ...fields, enabled: Type.Boolean() }));

export const WebhookParams = Type.Object({ webhookID: Type.String() });

const Attempt = Type.Object({
  ...{ id: Uuid, teamId: Uuid, webhookId: Uuid, eventId: Uuid },
  ...{ sandboxId: Type.String(), eventType: Type.String() },
  status: Type.Union([Type.Literal('success'), Type.Literal('failed')]),
  durationMs: Type.Integer({ format: 'int32' }),
  requestBody: Type.String(),
  requestUrl: Type.String(),
  requestHeaders: Type.String({ description: 'JSON; what is secret is redacted' }),
  responseBody: nullable(Type.String({ description: 'Its first 4 KiB' })),
  responseHeaders: nullable(Type.String({ description: 'JSON' })),
  responseHttpStatusCode: nullable(Type.Integer({ format: 'int32' })),
  errorClass: nullable(Type.String({ enum: [...DELIVERY_ERRORS] })),
  errorMessage: nullable(Type.String()),
  timestamp: DateTime,
});

export const DeliveriesShape = Type.Object({
  data: Type.Array(
    Type.Object({
      eventId: Uuid,
      eventType: Type.String(),
      sandboxId: Type.String(),
      attempts: Type.Array(Attempt),
    }),
  ),
  nextCursor: nullable(Type.String()),
});

const Moment = Type.String({ format: 'date-time', maxLength: 64 });
const range = { start: Type.Optional(Moment), end: Type.Optional(Moment) };

export const DeliveriesQuery = Type.Object({
  cursor: Type.Optional(Type.String({ maxLength: 512 })),
  limit: Type.Integer({ minimum: 1, maximum: 100, default: 25, description: 'Events' }),
  orderAsc: Type.Boolean({ default: false }),
  ...range,
  deliveryStatus: Type.Optional(
    Type.String({ maxLength: 64, description: 'success, failed, or both with a comma' }),
  ),
  eventType: Type.Optional(Type.String({ maxLength: 2048, description: 'Types with commas between them' })),
});

const Durations = Type.Object({ minimum: Type.Number(), average: Type.Number(), maximum: Type.Number() });
const counts = { total: Type.Integer(), failed: Type.Integer(), durationMs: Durations };

export const StatsShape = Type.Object({
  buckets: Type.Array(Type.Object({ timestamp: DateTime, ...counts })),
  ...counts,
});

export const StatsQuery = Type.Object(range);

const OwedShape = Type.Object({
  ...{ eventId: Uuid, eventType: Type.String(), sandboxId: Type.String(), eventTimestamp: DateTime },
  state: Type.Union([Type.Literal('pending'), Type.Literal('delivered'), Type.Literal('dead')]),
  attempts: Type.Integer({ description: 'Made since it was last owed' }),
  nextAttemptAt: nullable(DateTime),
  lastError: nullable(Type.String()),
});

export const OwedListShape = Type.Array(OwedShape);

export const OwedQuery = Type.Object({
  state: Type.Optional(
    Type.Union([Type.Literal('pending'), Type.Literal('delivered'), Type.Literal('dead')]),
  ),
  limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
});
