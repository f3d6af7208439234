/** Why an attempt failed, as the protocol names it. */
export const DELIVERY_ERRORS = [
  /** A whole answer that is not 2xx. */
  'http_error',
  'dns_error',
  'timeout',
  'transport_error',
  /** The address cannot be requested, or is refused. */
  'request_error',
  /** The secret cannot be read. */
  'signature_error',
  'canceled',
] as const;

export type DeliveryError = (typeof DELIVERY_ERRORS)[number];

export type DeliveryStatus = 'success' | 'failed';

/** One attempt to deliver an event to a webhook. What is secret in it is redacted already. */
export interface DeliveryAttempt {
  /** A UUID, of this attempt alone. */
  id: string;
  /** Its start, Unix milliseconds. */
  timeMs: number;
  /** Whole milliseconds. */
  durationMs: number;
  teamId: string;
  webhookId: string;
  eventId: string;
  sandboxId: string;
  /** `sandbox.lifecycle.created` … */
  eventType: string;
  status: DeliveryStatus;
  request: { url: string; headers: Record<string, string>; body: string };
  /** Null if none came. The body is cut. */
  response: { status: number; headers: Record<string, string>; body: string } | null;
  /** Null of a success. */
  errorClass: DeliveryError | null;
  errorMessage: string | null;
}

/** All attempts to deliver one event to one webhook that a query selects. */
export interface DeliveryGroup {
  eventId: string;
  eventType: string;
  sandboxId: string;
  /** At least one; newest first, those of one moment by their id, descending. */
  attempts: DeliveryAttempt[];
}

/** The place of a group among others: the time of its newest selected attempt, then its event's id. */
export interface DeliveryPlace {
  timeMs: number;
  eventId: string;
}

export interface DeliveryQuery {
  teamId: string;
  webhookId: string;
  /** Absent: of any. An attempt is selected if all that is given fits. */
  statuses?: readonly DeliveryStatus[] | undefined;
  eventTypes?: readonly string[] | undefined;
  /** Unix milliseconds, inclusive. */
  startMs?: number | undefined;
  /** Unix milliseconds, exclusive. */
  endMs?: number | undefined;
  /** Of the groups, by their place. */
  order: 'ascending' | 'descending';
  /** Behind which the answer begins, in the order asked for. */
  after?: DeliveryPlace | undefined;
  /** Most groups. */
  limit: number;
}

export interface DeliveryStatsQuery {
  teamId: string;
  webhookId: string;
  /** Unix milliseconds, inclusive. */
  startMs: number;
  /** Unix milliseconds, exclusive. */
  endMs: number;
  /** Width of a bucket; buckets begin at multiples of it since 1970. */
  bucketMs: number;
}

/** Attempts that began in one bucket. */
export interface DeliveryBucket {
  startMs: number;
  total: number;
  failed: number;
  durationMs: { minimum: number; maximum: number; sum: number };
}

/** Keeps attempts, for seven days where it lasts. A team sees those of its own webhooks only. */
export interface DeliveryStore {
  /** Resolves when the attempts can be read. One that comes twice, by its id, is kept once. */
  write(attempts: readonly DeliveryAttempt[]): Promise<void>;
  groups(query: DeliveryQuery): Promise<DeliveryGroup[]>;
  /** Ascending; without those that are empty. */
  stats(query: DeliveryStatsQuery): Promise<DeliveryBucket[]>;
}
