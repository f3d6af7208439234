import { randomUUID } from 'node:crypto';
import type { DueEvent, Webhook } from '@islet/db';
import type { DeliveryAttempt } from '@islet/sinks';
import type { Destinations } from './destination.ts';
import { post, type RequestOutcome } from './request.ts';
import type { Sealing } from './sealing.ts';
import { signature, timedSignature } from './signature.ts';

export interface AttemptOptions {
  destinations: Destinations;
  sealing: Sealing;
  version: string;
  /** Unix ms. */
  now: () => number;
}

const REDACTED = '[REDACTED]';

/** What a webhook's secret is bound to. */
export function secretOwner({ teamId, id }: Pick<Webhook, 'teamId' | 'id'>): string {
  return `${teamId}/${id}`;
}

/** Tries once to deliver an event, and gives the record of it. Never throws. */
export async function attemptDelivery(
  event: DueEvent,
  webhook: Webhook,
  { destinations, sealing, version, now }: AttemptOptions,
  signal: AbortSignal,
): Promise<DeliveryAttempt> {
  const id = randomUUID();
  const timeMs = now();
  const startedAt = performance.now();
  const { teamId, webhookId, eventId, sandboxId, eventType, body } = event;
  const open = {
    'content-type': 'application/json',
    'user-agent': `islet-webhooks/${version}`,
    'e2b-webhook-id': webhookId,
    'e2b-delivery-id': id,
    'e2b-signature-version': 'v1',
  };
  const secret = openSecret(sealing, webhook);
  const outcome: RequestOutcome =
    secret === undefined
      ? {
          reply: null,
          errorClass: 'signature_error',
          errorMessage: 'the secret cannot be read: set it again',
        }
      : await post(
          {
            url: webhook.url,
            headers: {
              ...open,
              'e2b-signature': signature(secret, body),
              'islet-signature': timedSignature(secret, body, Math.floor(timeMs / 1000)),
            },
            body,
          },
          destinations,
          signal,
        );
  const { reply } = outcome;
  const isSuccess = outcome.errorClass === null && outcome.reply.status >= 200 && outcome.reply.status < 300;
  return {
    ...{ id, timeMs, durationMs: Math.round(performance.now() - startedAt) },
    ...{ teamId, webhookId, eventId, sandboxId, eventType },
    status: isSuccess ? 'success' : 'failed',
    request: {
      url: webhook.url,
      headers: { ...open, 'e2b-signature': REDACTED, 'islet-signature': REDACTED },
      body,
    },
    response: reply,
    errorClass: isSuccess ? null : (outcome.errorClass ?? 'http_error'),
    errorMessage: isSuccess ? null : (outcome.errorMessage ?? `answered ${reply?.status}`),
  };
}

function openSecret(sealing: Sealing, webhook: Webhook): string | undefined {
  try {
    return sealing.open(webhook.sealedSecret, secretOwner(webhook));
  } catch {
    return undefined;
  }
}
