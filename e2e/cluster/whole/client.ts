import { setTimeout as sleep } from 'node:timers/promises';
import { ENVD_VERSION } from '@islet/contracts';
import { NotFoundError, RateLimitError, Sandbox, SandboxNotFoundError } from 'e2b';
import type { Random } from '../../chaos/random.ts';
import type { Way } from './cluster.ts';
import { Broken, becoming, endingIn, forked, newTold, type Told, UNKNOWN } from './model.ts';

export const OPERATIONS = [
  ...(['create', 'write', 'count', 'look', 'pause', 'resume', 'fork', 'kill', 'setTimeout'] as const),
];
export type Operation = (typeof OPERATIONS)[number];
const THROUGH_EDGE: ReadonlySet<Operation> = new Set(['write', 'count']);

const LIFE_MS = 3_000_000;
/** Of those that end by themselves, s. */
const SHORT_LIFE_S = { least: 2, most: 10 };
const SANDBOXES_EACH = 3;
const COUNTER = '/home/user/counter';
/** How long a call may take before its client gives it up. */
const PATIENCE_MS = 20_000;
/** What a client waits at most before its next call if one failed, ms. */
const LONGEST_PAUSE_MS = 400;

export interface ClientOptions {
  random: Random;
  /** Any API with any edge. */
  ways: readonly Way[];
  /** All that any client was told. */
  everyone: () => readonly Told[];
  isOver: () => boolean;
  /** Nothing is broken: an error is the product's fault. */
  isCalm: () => boolean;
  /** See `Faults`. */
  maySeemLost: () => boolean;
  onOutcome: (operation: Operation, outcome: string) => void;
}

/** Somebody who uses sandboxes through the official SDK, each time through another API and edge, and remembers what was answered. */
export class Client {
  readonly told: Told[] = [];
  /** Creates and forks that no answer came to: a sandbox may be there. */
  unanswered = 0;
  readonly #options: ClientOptions;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  /** Works until it is over. @throws Broken */
  async work(): Promise<void> {
    while (!this.#options.isOver()) await this.step();
  }

  /** One call. */
  async step(): Promise<void> {
    const { isCalm, onOutcome, random } = this.#options;
    const [operation, told] = this.#choose();
    const wasCalm = isCalm();
    if (told) told.isBusy = true;
    try {
      await (told ? this.#act(operation, told) : this.#create());
      onOutcome(operation, 'done');
    } catch (error) {
      if (error instanceof Broken) throw error;
      onOutcome(operation, nameOf(error));
      await sleep(random.integer(0, LONGEST_PAUSE_MS));
      // An edge that cannot reach a sandbox answers as one that knows of none.
      if (isMissing(error) && told && !THROUGH_EDGE.has(operation)) this.#notFound(operation, told, error);
      else if (wasCalm && isCalm() && !(error instanceof RateLimitError)) {
        throw new Broken(
          'wrong',
          `${operation} ${told?.id ?? ''} failed while all was well: ${error}`,
          error,
        );
      }
    } finally {
      if (told) told.isBusy = false;
    }
  }

  way(): Way {
    return this.#options.random.pick(this.#options.ways);
  }

  #choose(): [Operation, Told | undefined] {
    const { random } = this.#options;
    const mine = this.told.filter(
      ({ isShort, states }) => !isShort && !(states.size === 1 && states.has('gone')),
    );
    if (mine.length === 0 || (mine.length < SANDBOXES_EACH && random.chance(0.3)))
      return ['create', undefined];
    const told = random.pick(mine);
    if (told.states.has('gone')) return [random.chance(0.5) ? 'kill' : 'look', told];
    if (told.states.has('paused')) return [random.chance(0.2) ? 'kill' : 'resume', told];
    const often: Operation[] = ['write', 'write', 'count', 'count', 'count', 'pause', 'pause', 'look'];
    if (mine.length < SANDBOXES_EACH) often.push('fork');
    return [random.pick([...often, 'kill', 'setTimeout']), told];
  }

  async #create(): Promise<void> {
    const { random } = this.#options;
    const isShort = random.chance(0.2);
    const onTimeout = random.pick(['kill', 'pause'] as const);
    const timeoutMs = isShort ? 1000 * random.integer(SHORT_LIFE_S.least, SHORT_LIFE_S.most) : LIFE_MS;
    const way = this.way();
    const from = Date.now();
    this.unanswered++;
    const sandbox = await Sandbox.create('base', {
      ...{ ...way, timeoutMs, lifecycle: { onTimeout }, requestTimeoutMs: PATIENCE_MS },
    }).catch((error: unknown) => {
      if (error instanceof RateLimitError) this.unanswered--;
      throw error;
    });
    this.unanswered--;
    const endsAt = { from: from + timeoutMs, to: Date.now() + timeoutMs };
    this.#add(newTold(keyTo(sandbox), { endsAt, onTimeout, isShort }));
  }

  #add(told: Told): void {
    if (this.#options.everyone().some(({ id }) => id === told.id)) {
      throw new Broken('twice', `a new sandbox was given the id of another one, ${told.id}`);
    }
    this.told.push(told);
  }

  async #act(operation: Operation, told: Told): Promise<void> {
    const { random } = this.#options;
    const way = { ...this.way(), requestTimeoutMs: PATIENCE_MS };
    switch (operation) {
      case 'write':
        return this.#write(told);
      case 'count':
        return count(told, way);
      case 'look':
        return look(told, way);
      case 'pause':
        await becoming(told, 'paused', () => Sandbox.pause(told.id, way));
        return;
      case 'kill':
        return this.#kill(told, way);
      case 'setTimeout': {
        const timeoutMs = LIFE_MS + 60_000 * random.integer(-15, 15);
        return endingIn(told, timeoutMs, () => Sandbox.setTimeout(told.id, timeoutMs, way));
      }
      case 'fork':
        return this.#fork(told, way);
      default:
        return resume(told, way);
    }
  }

  async #kill(told: Told, way: Way): Promise<void> {
    const mayBeGone = told.states.has('gone') || Date.now() > told.endsAt.from;
    // One that is not there is answered so, without an error.
    const before = [...told.states];
    const wasThere = await becoming(told, 'gone', () => Sandbox.kill(told.id, way));
    if (!wasThere && this.#options.maySeemLost()) {
      for (const state of before) told.states.add(state);
      return;
    }
    if (!wasThere && !mayBeGone) throw new Broken('lost', `${told.id} was not there any more to be killed`);
  }

  async #write(told: Told): Promise<void> {
    const { random } = this.#options;
    const path = `/home/user/file-${random.integer(0, 2)}`;
    const content = `${random.integer(0, 2 ** 31)} `.repeat(random.pick([1, 100, 20_000]));
    const isUnknown = told.files.get(path)?.has(UNKNOWN) ?? false;
    told.files.set(path, new Set([UNKNOWN]));
    await at(told, this.way()).files.write(path, content, { requestTimeoutMs: PATIENCE_MS });
    // One that was given up before may be carried out later.
    if (!isUnknown) told.files.set(path, new Set([content]));
  }

  async #fork(told: Told, way: Way): Promise<void> {
    const from = Date.now();
    this.unanswered++;
    const [made] = await Sandbox.fork(told.id, { ...way, timeoutMs: LIFE_MS });
    if (!(made instanceof Sandbox)) throw made ?? new Error('a fork gave nothing');
    this.unanswered--;
    this.#add(forked(told, keyTo(made), { from: from + LIFE_MS, to: Date.now() + LIFE_MS }));
  }

  #notFound(operation: Operation, told: Told, error: unknown): void {
    if (this.#options.maySeemLost()) return;
    if (told.states.has('gone') || (told.onTimeout === 'kill' && Date.now() > told.endsAt.from)) {
      told.states = new Set(['gone']);
      return;
    }
    throw new Broken('lost', `${operation}: ${told.id} is not there any more, says an API (${error})`, error);
  }
}

/** What the SDK keeps to itself of a sandbox, and needs to reach it through another edge. */
function keyTo(sandbox: Sandbox): Pick<Told, 'id' | 'token'> {
  const { envdAccessToken: token } = sandbox as unknown as { envdAccessToken?: string };
  return { id: sandbox.sandboxId, token };
}

/** A sandbox through one edge, without asking an API. */
function at({ id, token }: Told, way: Way): Sandbox {
  const secured = token === undefined ? {} : { envdAccessToken: token };
  return new Sandbox({ ...way, ...secured, sandboxId: id, envdVersion: ENVD_VERSION });
}

/** Adds one to the counter in it: two of one id would both have it, and one of them would be behind. */
export async function count(told: Told, way: Way): Promise<void> {
  const { least } = told.count;
  const most = ++told.count.most;
  const command = `n=$(($(cat ${COUNTER} 2>/dev/null)+1)); echo $n > ${COUNTER}.new && mv ${COUNTER}.new ${COUNTER} && echo $n`;
  const { stdout } = await at(told, way).commands.run(command, {
    ...{ timeoutMs: PATIENCE_MS, requestTimeoutMs: PATIENCE_MS },
  });
  const found = Number(stdout);
  if (found <= least || found > most) {
    throw new Broken(
      'twice',
      `the counter of ${told.id} is at ${found}, was at ${least}, and was added to ${most} times at most`,
    );
  }
  told.count.least = found;
}

/** Asks for its state. */
export async function look(told: Told, way: Way): Promise<void> {
  const { state } = await Sandbox.getInfo(told.id, way);
  if (told.states.has(state) || Date.now() > told.endsAt.from) return;
  throw new Broken('wrong', `${told.id} is ${state}, and should be ${[...told.states].join(' or ')}`);
}

/** Has it run, whether it is paused or not. */
export async function resume(told: Told, way: Way): Promise<void> {
  await becoming(told, 'running', () =>
    endingIn(told, LIFE_MS, () => Sandbox.connect(told.id, { ...way, timeoutMs: LIFE_MS })),
  );
  told.isShort = false;
}

export function isMissing(error: unknown): boolean {
  return error instanceof SandboxNotFoundError || error instanceof NotFoundError;
}

/** For the histogram of answers: short, and the same for the same. */
function nameOf(error: unknown): string {
  const { name, message } = error as Error;
  return `${name} ${message.replace(/i[a-z0-9]{20}/g, '<id>').replace(/\s+/g, ' ')}`.slice(0, 100);
}
