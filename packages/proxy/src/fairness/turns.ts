/** What a tenant may use of the thread before the others have had their turn, ms. */
export const TURN_MS = 0.5;

/** What is used beyond a turn is taken from the next ones, up to so many: an odd mishap is not paid for all day. */
const MAX_DEBT_TURNS = 32;

/** What a piece of work is taken to cost before any of its tenant's was measured, ms. */
const FIRST_GUESS_MS = 0.1;

/** Weight of the last piece of work in the mean of a tenant's. */
const NEWEST = 0.1;

export interface TurnsOptions {
  turnMs?: number;
  /** Milliseconds on a clock that never goes back. */
  now?: () => number;
  /** Has `begin` called when everything that is ready now has been served. */
  afterOthers?: (begin: () => void) => void;
}

/** A tenant's part of a thread. */
export class Share {
  readonly #turns: Turns;
  readonly #tenant: string;

  constructor(turns: Turns, tenant: string) {
    this.#turns = turns;
    this.#tenant = tenant;
  }

  /** True if the tenant has used up its turn. */
  get isOver(): boolean {
    return this.#turns.isOver(this.#tenant);
  }

  /**
   * Does work of the tenant's at once, and counts what it takes but for work that is counted itself. Gives that, ms.
   * @throws what the work throws
   */
  run(work: () => void): number {
    return this.#turns.run(this.#tenant, work);
  }

  /** Counts what the tenant has used, if that is not measured, ms. */
  charge(ms: number): void {
    this.#turns.charge(this.#tenant, ms);
  }

  /** Calls `proceed` in a turn of the tenant's: at once if it has something left of this one. */
  enter(proceed: () => void): void {
    this.#turns.enter(this.#tenant, proceed);
  }
}

interface Tenant {
  /** Used in this turn and owed of earlier ones, ms. */
  used: number;
  /** What a piece of its work costs, ms. */
  mean: number;
  readonly waiting: (() => void)[];
}

/**
 * Shares a thread between tenants. Each may use `turnMs` of it; what it wants done beyond that waits until everything
 * that is ready on the thread has been served once, which is the next turn. So whoever wants little waits for one
 * turn of each of the others at the most, however many connections they have, and whoever is alone waits for nobody.
 *
 * Work cannot be stopped in its middle: a tenant overdraws its turn by its last piece of work, and pays for that in
 * the next.
 */
export class Turns {
  readonly #turnMs: number;
  readonly #now: () => number;
  readonly #afterOthers: (begin: () => void) => void;
  readonly #tenants = new Map<string, Tenant>();
  #turnEnds = false;
  /** What was counted within the work that is being done now, ms. */
  #withinMs = 0;

  constructor({ turnMs = TURN_MS, now = () => performance.now(), afterOthers }: TurnsOptions = {}) {
    this.#turnMs = turnMs;
    this.#now = now;
    this.#afterOthers = afterOthers ?? ((begin) => void setImmediate(begin));
  }

  of(tenant: string): Share {
    return new Share(this, tenant);
  }

  /** See `Share`. */
  run(tenant: string, work: () => void): number {
    const beganAt = this.#now();
    const around = this.#withinMs;
    this.#withinMs = 0;
    let ownMs = 0;
    try {
      work();
    } finally {
      const ms = this.#now() - beganAt;
      ownMs = ms - this.#withinMs;
      this.#withinMs = around + ms;
      this.charge(tenant, ownMs);
    }
    return ownMs;
  }

  /** See `Share`. */
  charge(tenant: string, ms: number): void {
    const known = this.#tenant(tenant);
    known.used = Math.min(known.used + ms, this.#turnMs * MAX_DEBT_TURNS);
    known.mean += (ms - known.mean) * NEWEST;
    this.#endTurnLater();
  }

  /** See `Share`. */
  isOver(tenant: string): boolean {
    const known = this.#tenants.get(tenant);
    return known !== undefined && (known.used >= this.#turnMs || known.waiting.length > 0);
  }

  /** See `Share`. */
  enter(tenant: string, proceed: () => void): void {
    if (this.isOver(tenant)) this.#tenant(tenant).waiting.push(proceed);
    else proceed();
  }

  #tenant(name: string): Tenant {
    let tenant = this.#tenants.get(name);
    if (!tenant) {
      tenant = { used: 0, mean: FIRST_GUESS_MS, waiting: [] };
      this.#tenants.set(name, tenant);
    }
    return tenant;
  }

  #endTurnLater(): void {
    if (this.#turnEnds) return;
    this.#turnEnds = true;
    this.#afterOthers(() => this.#nextTurn());
  }

  #nextTurn(): void {
    this.#turnEnds = false;
    for (const [name, tenant] of [...this.#tenants]) {
      tenant.used = Math.max(0, tenant.used - this.#turnMs);
      this.#admit(tenant);
      if (tenant.used === 0 && tenant.waiting.length === 0) this.#tenants.delete(name);
      else this.#endTurnLater();
    }
  }

  /** Lets as much of a tenant's work go on as its turn may hold. */
  #admit(tenant: Tenant): void {
    // What goes on may use its time later in the turn, as a socket does that is read again.
    let planned = 0;
    while (tenant.used + planned < this.#turnMs) {
      const proceed = tenant.waiting.shift();
      if (!proceed) return;
      planned += tenant.mean;
      proceed();
    }
  }
}
