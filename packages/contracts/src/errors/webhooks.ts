import { IsletError } from './error.ts';

export function webhookNotFound(): IsletError {
  return new IsletError(404, 'Webhook not found');
}

export function invalidWebhookId(text: string): IsletError {
  return new IsletError(400, `Invalid webhook ID '${text}'`);
}

/** @param detail what is wrong with the field, as the end of a sentence */
export function invalidWebhook(field: string, detail: string): IsletError {
  return new IsletError(400, `Invalid webhook: ${field} ${detail}`);
}

export function tooManyWebhooks(most: number): IsletError {
  return new IsletError(
    400,
    `a team may have at most ${most} webhooks: delete one first (DELETE /events/webhooks/{webhookID})`,
  );
}

export function invalidDeliveryCursor(): IsletError {
  return new IsletError(400, 'Invalid cursor');
}

/** @param detail as the end of a sentence */
export function invalidDeliveryRange(detail: string): IsletError {
  return new IsletError(400, `Invalid time range: ${detail}`);
}

export function deliveryNotFound(eventId: string): IsletError {
  return new IsletError(
    404,
    `no event '${eventId}' of this webhook can be replayed: it was never owed, is being delivered, or is older than a week`,
  );
}
