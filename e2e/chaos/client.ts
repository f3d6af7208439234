import { Sandbox } from 'e2b';
import type { InstanceAccess } from '../setup/instance.ts';
import type { Random } from './random.ts';
import { LOG, type Told } from './told.ts';

export type Operation = 'create' | 'write' | 'run' | 'pause' | 'resume' | 'kill' | 'setTimeout';

/** With what is added to it less than the hour that a sandbox may live. */
const LIFE_MS = 1_800_000;
/** Of those that end by themselves while the test looks. */
const SHORT_LIFE_MS = { least: 1_000, most: 8_000 };
const SANDBOXES_EACH = 3;

export interface ClientOptions {
  random: Random;
  /** Called when an operation begins. */
  onBegin: (operation: Operation) => void;
  /** True once Islet has been told to die: errors prove nothing from then on. */
  isOver: () => boolean;
}

/** Somebody who uses sandboxes through the official SDK, one call after the other, and remembers what was answered. */
export class Client {
  readonly told: Told[] = [];
  /** Creates that no answer came to: the sandbox may be there. */
  unanswered = 0;
  readonly #options: ClientOptions;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  /** Works until Islet dies. @throws whatever was thrown before. */
  async work(access: InstanceAccess): Promise<void> {
    const { isOver, onBegin } = this.#options;
    while (!isOver()) {
      const [operation, told] = this.#choose();
      onBegin(operation);
      try {
        await (told ? this.#act(access, operation, told) : this.#create(access));
      } catch (error) {
        if (isOver()) return;
        throw new Error(`${operation} ${told?.id ?? ''} failed while Islet ran: ${error}`, { cause: error });
      }
    }
  }

  #choose(): [Operation, Told | undefined] {
    const { random } = this.#options;
    const mine = this.told.filter(({ isShort, states }) => !isShort && !states.has('gone'));
    if (mine.length === 0 || (mine.length < SANDBOXES_EACH && random.chance(0.3)))
      return ['create', undefined];
    const told = random.pick(mine);
    if (told.states.has('paused')) return [random.chance(0.15) ? 'kill' : 'resume', told];
    const often: Operation[] = ['write', 'write', 'write', 'run', 'run', 'run', 'pause', 'pause'];
    return [random.pick([...often, 'kill', 'setTimeout']), told];
  }

  async #create(access: InstanceAccess): Promise<void> {
    const { random } = this.#options;
    const isShort = random.chance(0.25);
    const onTimeout = random.pick(['kill', 'pause'] as const);
    const timeoutMs = isShort
      ? 1000 * random.integer(SHORT_LIFE_MS.least / 1000, SHORT_LIFE_MS.most / 1000)
      : LIFE_MS;
    const from = Date.now();
    this.unanswered++;
    const sandbox = await Sandbox.create('base', { ...access, timeoutMs, lifecycle: { onTimeout } });
    this.unanswered--;
    const told: Told = {
      id: sandbox.sandboxId,
      sandbox,
      states: new Set(['running']),
      endsAt: { from: from + timeoutMs, to: Date.now() + timeoutMs },
      onTimeout,
      isShort,
      files: new Map(),
      lines: [],
      process: undefined,
    };
    this.told.push(told);
    if (isShort) return;
    const { pid } = await sandbox.commands.run('sleep 100000', { background: true, timeoutMs: 0 });
    told.process = pid;
  }

  async #act(access: InstanceAccess, operation: Operation, told: Told): Promise<void> {
    if (operation === 'write') return this.#write(told);
    if (operation === 'run') return this.#run(told);
    if (operation === 'pause') {
      return becoming(told, 'paused', async () => {
        await Sandbox.pause(told.id, access);
      });
    }
    if (operation === 'kill') {
      return becoming(told, 'gone', async () => {
        await Sandbox.kill(told.id, access);
      });
    }
    const timeoutMs = LIFE_MS + 60_000 * this.#options.random.integer(-15, 15);
    if (operation === 'setTimeout') {
      return endingIn(told, timeoutMs, () => Sandbox.setTimeout(told.id, timeoutMs, access));
    }
    await becoming(told, 'running', () =>
      endingIn(told, timeoutMs, async () => {
        told.sandbox = await Sandbox.connect(told.id, { ...access, timeoutMs });
      }),
    );
  }

  async #write(told: Told): Promise<void> {
    const { random } = this.#options;
    const path = `/home/user/file-${random.integer(0, 4)}`;
    const content = `${random.integer(0, 2 ** 31)} `.repeat(random.pick([1, 100, 50_000]));
    told.files.delete(path);
    await running(told).files.write(path, content);
    told.files.set(path, content);
  }

  async #run(told: Told): Promise<void> {
    const line = String(this.#options.random.integer(0, 2 ** 31));
    await running(told).commands.run(`echo ${line} >> ${LOG}`);
    told.lines.push(line);
  }
}

function running({ id, sandbox }: Told): Sandbox {
  if (!sandbox) throw new TypeError(`nobody is connected to ${id}`);
  return sandbox;
}

/** A call whose answer says that the sandbox is in another state. */
async function becoming(told: Told, state: 'running' | 'paused' | 'gone', call: () => Promise<void>) {
  told.states.add(state);
  await call();
  told.states = new Set([state]);
}

/** A call whose answer says that the sandbox ends so long after it. */
async function endingIn(told: Told, timeoutMs: number, call: () => Promise<void>): Promise<void> {
  const { endsAt } = told;
  const from = Date.now() + timeoutMs;
  told.endsAt = { from: Math.min(endsAt.from, from), to: Number.POSITIVE_INFINITY };
  await call();
  told.endsAt = { from, to: Date.now() + timeoutMs };
}
