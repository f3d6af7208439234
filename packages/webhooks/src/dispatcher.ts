import { randomUUID } from 'node:crypto';
import { pauseFor } from '@islet/contracts';
import {
  claimDue,
  type Database,
  type DueEvent,
  dropLeases,
  findWebhook,
  settleOwed,
  stopOwed,
  sweepOwed,
} from '@islet/db';
import type { DeliveryAttempt, DeliveryStore } from '@islet/sinks';
import type { Logger } from '@islet/telemetry';
import { type AttemptOptions, attemptDelivery } from './attempt.ts';
import { nextAttemptIn, RETRIES, type RetrySchedule } from './schedule.ts';

export interface DispatcherOptions extends AttemptOptions {
  db: Database;
  deliveries: DeliveryStore;
  logger: Logger;
  /** Absent: the usual one. */
  retries?: RetrySchedule | undefined;
}

/** Between two looks for what is due, ms. */
const LOOK_MS = 1_000;
/** The next look comes no sooner than so many times what the last one took: others need the database, too. */
const LOOK_SHARE = 20;
/** Far longer than an attempt takes: whoever holds it then is dead. */
const LEASE_MS = 30_000;
/** Attempts under way of one team, by all APIs, and of all teams, by this one. */
const AT_ONCE = { perTeam: 8, all: 256 };
const SWEEP_MS = 600_000;
/** As long as the records of attempts. */
const KEPT_MS = 7 * 24 * 3_600_000;
const MOST_SETTLED = 10_000;

/**
 * Delivers what webhooks are owed. Each sandbox's events go to a webhook one after another; different sandboxes, webhooks and teams
 * do not wait for each other. What a killed process had begun is begun again when its lease is over.
 */
export class Dispatcher implements AsyncDisposable {
  readonly #options: DispatcherOptions;
  readonly #stop = new AbortController();
  readonly #underWay = new Map<Promise<void>, { webhookId: string; abort: AbortController }>();
  #isWoken = false;
  #wake: () => void = () => undefined;
  #running: Promise<void> | undefined;

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Has it look for what is due now. */
  wake(): void {
    this.#isWoken = true;
    this.#wake();
  }

  /** Ends what is under way to a webhook. */
  cancel(webhookId: string): void {
    for (const attempt of this.#underWay.values()) if (attempt.webhookId === webhookId) attempt.abort.abort();
  }

  /** Ends what is under way; it is begun again after the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.wake();
    for (const { abort } of this.#underWay.values()) abort.abort();
    await this.#running;
    await Promise.all(this.#underWay.keys());
  }

  async #run(): Promise<void> {
    const { db, logger } = this.#options;
    let sweptAt = Number.NEGATIVE_INFINITY;
    let isFirst = true;
    while (!this.#stop.signal.aborted) {
      const startedAt = performance.now();
      this.#isWoken = false;
      let claimed = 0;
      try {
        // Nobody else has this database: whoever had leases is dead.
        if (isFirst && db.kind === 'pglite') await dropLeases(db);
        isFirst = false;
        claimed = await this.#look();
        if (performance.now() - sweptAt > SWEEP_MS) {
          sweptAt = performance.now();
          await sweepOwed(db, { before: new Date(this.#options.now() - KEPT_MS), mostSettled: MOST_SETTLED });
        }
      } catch (error) {
        if (!this.#stop.signal.aborted) logger.warn({ err: error }, 'cannot look for what webhooks are owed');
      }
      const took = performance.now() - startedAt;
      // Behind those that were claimed more may be due.
      await this.#pause(claimed > 0 ? took : Math.max(LOOK_MS, took * LOOK_SHARE), took);
    }
  }

  /** @param leastMs also if it is woken */
  async #pause(ms: number, leastMs: number): Promise<void> {
    const { signal } = this.#stop;
    await pauseFor(leastMs, signal);
    if (this.#isWoken) return;
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    await Promise.race([woken, pauseFor(Math.max(ms - leastMs, 0), signal)]);
  }

  /** Begins what is due. Tells how much that was. */
  async #look(): Promise<number> {
    const { db, now } = this.#options;
    const most = AT_ONCE.all - this.#underWay.size;
    if (most <= 0) return 0;
    const due = await claimDue(db, {
      ...{ now: new Date(now()), leaseMs: LEASE_MS, lease: randomUUID() },
      ...{ perTeam: AT_ONCE.perTeam, most },
    });
    for (const event of due) {
      const abort = new AbortController();
      const delivery = this.#deliver(event, abort.signal)
        .catch((error: unknown) =>
          // It is tried again when the lease is over.
          this.#options.logger.warn(
            { err: error, webhookId: event.webhookId },
            'a delivery could not be settled',
          ),
        )
        .finally(() => {
          this.#underWay.delete(delivery);
          this.wake();
        });
      this.#underWay.set(delivery, { webhookId: event.webhookId, abort });
    }
    return due.length;
  }

  async #deliver(event: DueEvent, signal: AbortSignal): Promise<void> {
    const { db, now } = this.#options;
    const webhook = await findWebhook(db, event.webhookId);
    if (!webhook?.enabled) return stopOwed(db, event.webhookId, new Date(now()));
    const attempt = await attemptDelivery(event, webhook, this.#options, signal);
    await this.#record(attempt);
    const made = event.attempts + 1;
    const at = new Date(now());
    if (attempt.status === 'success') {
      return settleOwed(db, event, { state: 'delivered', at, attempts: made, error: null });
    }
    const error = `${attempt.errorClass}: ${attempt.errorMessage}`;
    // Not the receiver's fault: it does not count.
    if (attempt.errorClass === 'canceled') {
      return settleOwed(db, event, { dueAt: at, attempts: event.attempts, error });
    }
    const sinceMs = at.getTime() - event.queuedAt.getTime();
    const retries = this.#options.retries ?? RETRIES;
    const waitMs = nextAttemptIn(retries, { made, sinceMs, random: Math.random() });
    await settleOwed(db, event, {
      ...{ attempts: made, error },
      ...(waitMs === undefined ? { state: 'dead' as const, at } : { dueAt: new Date(at.getTime() + waitMs) }),
    });
  }

  /** A record that cannot be kept keeps no event from being delivered. */
  async #record(attempt: DeliveryAttempt): Promise<void> {
    const { deliveries, logger } = this.#options;
    await deliveries.write([attempt]).catch((error: unknown) => {
      const { id, webhookId, status } = attempt;
      logger.warn({ err: error, id, webhookId, status }, 'the record of a delivery is lost');
    });
  }
}
