import { randomUUID } from 'node:crypto';
import { type Database, maskKeys, type OwedRecord, takeOwedAudit } from '@islet/db';
import type { AuditQuery, AuditRecord, AuditStore } from '@islet/sinks';
import type { Logger } from '@islet/telemetry';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Caller } from '../auth/authenticator.ts';
import type { Clock } from '../deps.ts';

export interface AuditTrailOptions {
  store: AuditStore;
  /** Where commands that open the database themselves leave their records. */
  db: Database;
  logger: Logger;
}

/** Until what could not be kept is tried again. */
const RETRY_MS = 500;
/** Between two looks for what commands have left. */
const OWED_MS = 30_000;
/** Records that wait to be kept; the oldest go first. */
const MOST_WAITING = 10_000;
const BATCH = 1_000;

/** Takes down what was done and by whom, without a wait for whoever did it. */
export class AuditTrail implements AsyncDisposable {
  readonly #options: AuditTrailOptions;
  readonly #owedTimer: NodeJS.Timeout;
  #waiting: AuditRecord[] = [];
  #writing: Promise<void> | undefined;
  #taking: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(options: AuditTrailOptions) {
    this.#options = options;
    this.#owedTimer = setInterval(() => void this.#takeOwed(), OWED_MS).unref();
    void this.#takeOwed();
  }

  record(done: Omit<AuditRecord, 'id'>): void {
    this.#waiting.push({ id: randomUUID(), ...done });
    if (this.#waiting.length > MOST_WAITING) {
      this.#waiting.shift();
      this.#options.logger.warn('a record of the audit is lost: what keeps them is too slow');
    }
    if (!this.#retry) void this.#flush();
  }

  /** With what was recorded by now. */
  async query(query: AuditQuery): Promise<AuditRecord[]> {
    await Promise.all([this.#flush(), this.#takeOwed()]);
    return this.#options.store.query(query);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#owedTimer);
    await Promise.all([this.#flush(), this.#taking]);
    clearTimeout(this.#retry);
  }

  async #takeOwed(): Promise<void> {
    const { db, store, logger } = this.#options;
    this.#taking ??= takeOwedAudit(db, (owed) => store.write(owed.map(recordOf)))
      .catch((error: unknown) => logger.warn({ err: error }, 'records that commands left cannot be kept yet'))
      .finally(() => {
        this.#taking = undefined;
      });
    await this.#taking;
  }

  async #flush(): Promise<void> {
    await this.#writing;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
    await this.#writing;
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, BATCH);
      try {
        await this.#options.store.write(batch);
      } catch (error) {
        this.#options.logger.warn({ err: error }, 'the audit cannot be kept');
        this.#retry ??= setTimeout(() => {
          this.#retry = undefined;
          void this.#flush();
        }, RETRY_MS).unref();
        return;
      }
      const written = new Set(batch);
      this.#waiting = this.#waiting.filter((record) => !written.has(record));
    }
  }
}

function recordOf({ id, record }: OwedRecord): AuditRecord {
  return { ...(JSON.parse(record) as Omit<AuditRecord, 'id'>), id };
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Changes something, whatever its method says. */
    audited?: boolean;
  }
}

const READING = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Where a request keeps the ids that its answer tells. */
const MADE = 'auditMade';

/** Records every call that may change something when it is answered; one that nobody is allowed changes nothing. */
export function useAudit(app: FastifyInstance, trail: AuditTrail, clock: Clock): void {
  const isAudited = ({ method, routeOptions, is404 }: FastifyRequest) =>
    !is404 && (!READING.has(method) || routeOptions.config.audited === true);
  app.decorateRequest(MADE);
  app.addHook('preSerialization', async (request, _, payload) => {
    if (isAudited(request)) request.setDecorator(MADE, idsOf(payload));
    return payload;
  });
  // Not once it has arrived: whoever hangs up would leave no trace.
  app.addHook('onSend', async (request, reply) => {
    // Nobody was asked who it is if that could not be told.
    const caller = request.caller as Caller | undefined;
    if (!isAudited(request) || reply.statusCode === 401 || !caller) return;
    trail.record({
      timeMs: clock.now(),
      via: 'api',
      ...actorOf(caller),
      address: request.ip,
      method: request.method,
      route: request.routeOptions.url ?? '',
      objects: { ...shown(request.params), ...request.getDecorator<Record<string, string>>(MADE) },
      status: reply.statusCode,
    });
  });
}

type Actor = Pick<AuditRecord, 'actor' | 'teamId' | 'userId' | 'keyId' | 'keyMask'>;

function actorOf(caller: Caller): Actor {
  const nobody = { teamId: null, userId: null, keyId: null, keyMask: null };
  switch (caller.kind) {
    case 'team': {
      const { team, key } = caller;
      const actor = key ? 'team' : 'operator';
      return { ...nobody, actor, teamId: team.id, keyId: key?.id ?? null, keyMask: key?.mask ?? null };
    }
    case 'user':
      return {
        ...nobody,
        actor: 'user',
        userId: caller.userId,
        keyId: caller.key.id,
        keyMask: caller.key.mask,
      };
    case 'admin':
      return { ...nobody, actor: 'operator' };
    case 'nobody':
      return { ...nobody, actor: 'bearer' };
  }
}

const LONGEST = 256;

/** The ids that an answer tells at its top. */
function idsOf(payload: unknown): Record<string, string> {
  if (payload === null || typeof payload !== 'object') return {};
  const ids: Record<string, string> = {};
  for (const [name, value] of Object.entries(payload)) {
    if ((name === 'id' || name.endsWith('ID')) && typeof value === 'string')
      ids[name] = value.slice(0, LONGEST);
  }
  return ids;
}

/** A request's parameters; a key that somebody put there is masked. */
function shown(params: unknown): Record<string, string> {
  return Object.fromEntries(
    Object.entries(params as Record<string, string>).map(([name, value]) => [
      name,
      maskKeys(value).slice(0, LONGEST),
    ]),
  );
}
