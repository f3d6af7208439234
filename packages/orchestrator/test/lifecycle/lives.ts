import { IsletError, orchestratorProto } from '@islet/contracts';
import { LASTING, type Lasting } from './checks.ts';
import { lastingOf } from './disturb.ts';
import { DRIVER_KINDS } from './driver.ts';
import type { Manner } from './guest.ts';
import type { Modelled, Outcome, State } from './modelled.ts';
import { BUILD } from './node.ts';
import type { Fault } from './process.ts';
import { Random } from './random.ts';
import { configOf, World } from './world.ts';

const HOUR_MS = 3_600_000;
const { REQUEST } = orchestratorProto.KillReason;

/** Sandboxes at once; more are not made. */
const MOST_SANDBOXES = 10;
const MOST_BUILDS = 4;
/** Clients that ask at the same time. */
const MOST_AT_ONCE = 4;

const OPERATIONS = {
  ...{ create: 20, kill: 10, pause: 18, resume: 20, fork: 6, snapshot: 5, prolong: 8, expire: 6 },
  ...{ machineEnds: 2, drop: 2, restart: 1, close: 0.5 },
};
type Kind = keyof typeof OPERATIONS;

/** Of the steps at which nothing went wrong. */
const LOOK_AT_DISK = 0.2;

const STEP_FAULT = 0.006;
const FAULTS = { delay: 8, failsBefore: 4, failsAfter: 3, machineEnds: 2, killedBefore: 1, killedAfter: 1 };
const ANSWER_FAULT = 0.01;
const MANNERS = { refuses: 2, resets: 2, lies: 1 };

interface Asked {
  kind: Kind;
  id: string;
  outcome: Promise<Outcome>;
}

/** Random lives of sandboxes on one simulated node and those that follow it, beside what has to become of them. */
export class Lives implements AsyncDisposable {
  readonly #random: Random;
  readonly #models = new Map<string, Modelled>();
  /** What the builds hold. */
  readonly #builds = new Map([[BUILD.buildId, { file: 'blank', memory: 'blank' }]]);
  readonly #seed: string;
  readonly #counts = new Map<string, number>();
  /** What a node could not do since it was started. */
  #lasting: Lasting = 'nothing';
  /** Something went wrong in this step: answers may say so. */
  #isDisturbed = false;
  #hasMachineEnded = false;
  /** Sandboxes that somebody asks for in this step. */
  readonly #isAsked = new Set<string>();
  #isCalm = true;
  #nextId = 0;
  #world!: World;
  /** What was asked for, for the report of a failure. */
  readonly history: string[] = [];

  private constructor(seed: string) {
    this.#seed = seed;
    this.#random = new Random(seed);
  }

  static async open(seed: string): Promise<Lives> {
    const lives = new Lives(seed);
    const kind = DRIVER_KINDS[lives.#random.below(DRIVER_KINDS.length)];
    const isWarm = lives.#random.chance(0.25);
    lives.#world = await World.open({
      kind: kind ?? 'gvisor',
      plan: (step) => lives.#fault(step),
      manner: (path) => lives.#manner(path),
      ...(isWarm && { warmAtMost: 2, placesAtMost: 1 }),
    });
    return lives;
  }

  /** Several clients ask for something at once; then all has to be as it should. Returns how much was asked for. */
  async step(): Promise<number> {
    this.#isDisturbed = false;
    this.#hasMachineEnded = false;
    this.#isAsked.clear();
    this.#isCalm = false;
    this.history.push('--');
    const { process } = this.#world.node;
    const targets = new Set(this.#models.keys());
    const asked = Array.from({ length: 1 + this.#random.below(MOST_AT_ONCE) }, () => this.#ask(targets));
    for (const each of asked) {
      const outcome = await each.outcome;
      this.history.push(`${each.kind} ${each.id}: ${'status' in outcome ? outcome.error : outcome.kind}`);
      this.#learn(each, outcome, asked);
    }
    this.#isCalm = true;
    if (!process.isAlive) await this.#restart();
    const unsure = asked.filter(({ kind }) => kind === 'expire' && (this.#isDisturbed || !process.isAlive));
    for (const { id } of unsure) await this.#outcome((all) => all.setEnd(id, Date.now() + HOUR_MS, false));
    // What goes wrong behind the answer keeps it running, or loses it while it is saved.
    for (const { id } of unsure) this.#models.get(id)?.states.add('running').add('gone');
    const onDisk = this.#isDisturbed || this.#random.chance(LOOK_AT_DISK);
    await this.#world.settle(this.#models, { lasting: () => this.#lasting, onDisk });
    if (this.#lasting !== 'nothing') {
      await this.#restart();
      await this.#world.settle(this.#models);
    }
    this.#write();
    return asked.length;
  }

  /** Ends the node in order: nothing but what is paused may be left. */
  async close(): Promise<void> {
    this.#isCalm = true;
    this.#isDisturbed = false;
    await this.#close();
    await this.#world.settle(this.#models);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isCalm = true;
    await this.#world[Symbol.asyncDispose]();
  }

  /** @param targets sandboxes that there were before; one whose time is let run out is nobody else's then */
  #ask(targets: Set<string>): Asked {
    const kind = this.#random.weighted(OPERATIONS);
    const ids = [...targets];
    const id = ids[this.#random.below(ids.length)];
    if (id === undefined || (kind === 'create' && this.#models.size < MOST_SANDBOXES)) return this.#create();
    const sandboxes = <T>(question: Parameters<World['node']['ask']>[0]) => this.#outcome(question) as T;
    const model = this.#models.get(id) as Modelled;
    const isFirst = !this.#isAsked.has(id);
    if (kind !== 'drop' && kind !== 'restart' && kind !== 'close') this.#isAsked.add(id);
    switch (kind) {
      case 'create': // there are enough
      case 'kill':
        return { kind: 'kill', id, outcome: sandboxes((all) => all.kill(id, REQUEST)) };
      case 'pause':
        return { kind, id, outcome: sandboxes((all) => all.pause(id, false)) };
      case 'resume': {
        const how = { timeoutMs: HOUR_MS, autoPause: undefined, filesOnly: false };
        return { kind, id, outcome: sandboxes((all) => all.resume(id, how)) };
      }
      case 'prolong':
        return { kind, id, outcome: sandboxes((all) => all.setEnd(id, Date.now() + 2 * HOUR_MS, false)) };
      case 'expire':
        if (!isFirst) return this.#create();
        targets.delete(id);
        return { kind, id, outcome: sandboxes((all) => all.setEnd(id, Date.now(), false)) };
      case 'fork':
        return this.#fork(id, model);
      case 'snapshot':
        return this.#snapshot(id, model);
      case 'machineEnds': {
        this.#isDisturbed = true;
        this.#hasMachineEnded = true;
        this.#endMachineOf(id);
        return { kind, id, outcome: ok() };
      }
      case 'drop': {
        const builds = [...this.#builds.keys()].filter((build) => build !== BUILD.buildId);
        const build = builds[this.#random.below(builds.length)];
        if (build === undefined) return this.#create();
        this.#builds.delete(build);
        return { kind, id: build, outcome: sandboxes((all) => all.dropBuild(build)) };
      }
      case 'restart':
        this.#world.node.kill();
        return { kind, id: '', outcome: ok() };
      case 'close':
        return { kind, id: '', outcome: this.#close().then(ok) };
    }
  }

  #create(): Asked {
    const id = `s${this.#nextId++}`;
    const kind = 'create';
    const builds = [...this.#builds.keys()];
    const buildId = builds[this.#random.below(builds.length)] ?? BUILD.buildId;
    const [autoPause, withVolume] = [this.#random.chance(0.5), this.#random.chance(0.3)];
    const config = configOf(id, { buildId, autoPause, withVolume });
    const contents = this.#builds.get(buildId) ?? { file: '', memory: '' };
    this.#models.set(id, { ...contents, autoPause, withVolume, states: new Set<State>(['gone']) });
    return { kind, id, outcome: this.#outcome((all) => all.create(config, HOUR_MS)) };
  }

  #fork(id: string, model: Modelled): Asked {
    const children = [0, 1].map(() => `s${this.#nextId++}`);
    for (const child of children) {
      const { file, memory } = model;
      this.#models.set(child, { file, memory, states: new Set<State>(['gone', 'running']) });
    }
    const configs = children.map((child) => configOf(child));
    return { kind: 'fork', id, outcome: this.#outcome((all) => all.fork(id, configs, HOUR_MS)) };
  }

  #snapshot(id: string, { file, memory }: Modelled): Asked {
    const buildId = `b${this.#nextId++}`;
    const outcome = this.#outcome((all) => all.snapshot(id, { templateId: 't', buildId })).then((outcome) => {
      if (outcome.kind === 'ok' && this.#builds.size < MOST_BUILDS)
        this.#builds.set(buildId, { file, memory });
      return outcome;
    });
    return { kind: 'snapshot', id, outcome };
  }

  /** What an answer says of a sandbox, and whether it may be that answer. */
  #learn({ kind, id }: Asked, outcome: Outcome, asked: readonly Asked[]): void {
    const model = this.#models.get(id);
    const restarted = asked.some((each) => each.kind === 'restart' || each.kind === 'close');
    if (outcome.kind === 'failed' && !this.#isDisturbed && !restarted && outcome.status >= 500) {
      const log = this.#world.errors.slice(-3).join('');
      throw new Error(`${kind} ${id} failed though nothing was disturbed: ${log}`, { cause: outcome.error });
    }
    if (!model) return;
    const { states } = model;
    if (this.#hasMachineEnded && !(kind === 'resume' && outcome.kind === 'failed')) states.add('gone');
    const next = BECOMES[kind](model);
    const isSaving = kind === 'pause' || kind === 'expire';
    const isAlone = asked.filter((each) => each.id === id).length === 1 && !restarted;
    if (outcome.kind === 'cut' || !isAlone) {
      // Each order of what was asked for is right; what was killed is gone in all of them.
      if (outcome.kind === 'ok' && kind === 'kill') states.clear();
      for (const state of next) states.add(state);
      if (isSaving && this.#isDisturbed) states.add('gone');
    } else if (outcome.kind === 'ok') {
      states.clear();
      for (const state of next) states.add(state);
      if (this.#hasMachineEnded && kind !== 'pause') states.add('gone');
      // It ends behind the answer.
      if (kind === 'expire' && this.#isDisturbed) states.add('gone');
    } else if (this.#isDisturbed) {
      // What fails once its machine has ended takes the sandbox along.
      if (kind === 'pause' || kind === 'kill') states.add('gone');
    } else if (outcome.status === 404 || outcome.status === 409) {
      const is = outcome.status === 409 ? conflict(kind) : 'paused';
      const mayBe = outcome.status === 404 && (kind === 'kill' || kind === 'resume') ? 'gone' : is;
      if (kind !== 'create' && mayBe && !states.has(mayBe)) {
        const may = [...states].join(' or ');
        throw new Error(`${kind} ${id} is refused where it may be ${may}`, { cause: outcome.error });
      }
    }
  }

  /** A client writes to every sandbox that runs. */
  #write(): void {
    for (const sandbox of this.#world.node.sandboxes.list()) {
      const model = this.#models.get(sandbox.config.sandboxId);
      const contents = this.#world.host.contentsAt(sandbox.address);
      if (!model?.states.has('running') || contents?.sandboxId !== sandbox.config.sandboxId) continue;
      const text = `${contents?.sandboxId} ${this.#random.below(1e9)}`;
      for (const each of [model, contents]) Object.assign(each as object, { file: text, memory: text });
    }
  }

  #endMachineOf(id: string): void {
    const { host, node } = this.#world;
    const slot = host.slotWith(node.sandboxes.get(id)?.address ?? '');
    const machine = host.machineIn(slot?.slot.netns);
    if (machine) host.end(machine.id);
  }

  async #restart(): Promise<void> {
    this.#isCalm = true;
    await this.#world.restart();
    this.#lasting = 'nothing';
  }

  /** What runs ends, and with it whatever is not paused. */
  async #close(): Promise<void> {
    await this.#world.node.close().catch((error: unknown) => {
      // It says what could not be freed.
      if (!this.#isDisturbed) throw error;
    });
    for (const { states } of this.#models.values()) states.add('gone');
    this.#world.node.kill();
  }

  async #outcome(question: Parameters<World['node']['ask']>[0]): Promise<Outcome> {
    try {
      const answered = await this.#world.node.ask(question);
      return { kind: answered ? 'ok' : 'cut' };
    } catch (error) {
      return { kind: 'failed', status: error instanceof IsletError ? error.status : 500, error };
    }
  }

  #fault(step: string): Fault | undefined {
    const choice = this.#choice(step);
    if (this.#isCalm || !choice.chance(STEP_FAULT)) return undefined;
    const kind = choice.weighted(FAULTS);
    if (kind === 'delay') return { kind, ms: choice.below(20) };
    if (kind === 'failsAfter' && (step.startsWith('files.') || step === 'network.take')) return undefined;
    this.#isDisturbed = true;
    if (kind === 'machineEnds') this.#hasMachineEnded = true;
    this.history.push(`${kind} at ${step}`);
    if (kind.startsWith('fails')) {
      const most = [this.#lasting, lastingOf(step)].map((each) => LASTING.indexOf(each));
      this.#lasting = LASTING[Math.max(...most)] ?? 'nothing';
    }
    return { kind };
  }

  #manner(path: string): Manner {
    const choice = this.#choice(path);
    if (this.#isCalm || !choice.chance(ANSWER_FAULT)) return 'well';
    this.#isDisturbed = true;
    return choice.weighted(MANNERS);
  }

  /** The same for the n-th step of a name, in whichever order they come. */
  #choice(name: string): Random {
    const count = (this.#counts.get(name) ?? 0) + 1;
    this.#counts.set(name, count);
    return new Random(`${this.#seed} ${name} ${count}`);
  }
}

/** What a sandbox becomes if it is done. */
const BECOMES: Record<Kind, (model: Modelled) => State[]> = {
  create: () => ['running'],
  kill: () => ['gone'],
  pause: () => ['paused'],
  resume: () => ['running'],
  fork: ({ states }) => [...states],
  snapshot: ({ states }) => [...states],
  prolong: ({ states }) => [...states],
  expire: ({ autoPause }) => [autoPause ? 'paused' : 'gone'],
  machineEnds: ({ states }) => ['gone', ...states],
  drop: ({ states }) => [...states],
  restart: ({ states }) => [...states],
  close: ({ states }) => [...states],
};

function conflict(kind: Kind): State | undefined {
  return { pause: 'paused', resume: 'running' }[kind as string] as State | undefined;
}

function ok(): Promise<Outcome> {
  return Promise.resolve({ kind: 'ok' });
}
