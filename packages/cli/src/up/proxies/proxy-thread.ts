import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { type FindSigner, feedRoutes, type Wake, type WatchableRoutes } from '@islet/catalog';
import type { Certificate, LinkCredentials } from '@islet/certificates';
import type { LookUp } from '@islet/client-proxy';
import { IsletError } from '@islet/contracts';
import type { Logger, Telemetry } from '@islet/telemetry';
import {
  type Address,
  type EdgeQuestion,
  type EdgeQuestions,
  type EdgeSettings,
  fromFailure,
  type NodeProxySettings,
  type ProxyName,
  type ThreadMessage,
  type ThreadRequest,
  type ThreadSettings,
  toFailure,
} from './messages.ts';

export interface ProxyThreadOptions extends Pick<ThreadSettings, 'logLevel'> {
  /** The thread's program, as the build lays it out. */
  program: string;
  logger: Logger;
  /** Takes its figures and the lines of its log; absent: nobody does. */
  telemetry?: Pick<Telemetry, 'isMeasured' | 'addThread' | 'takeLogLine'> | undefined;
  /** What the thread's objects may take, MiB. A thread that needs more ends, and another follows. */
  heapMb?: number;
  /** How often the thread is asked whether it still takes messages, ms. */
  pulseMs?: number;
}

export interface NodeProxyOptions extends Pick<NodeProxySettings, 'links'> {
  address: Address;
  /** To the node's own sandboxes. */
  routes: WatchableRoutes;
  /** Told where traffic of either proxy begins to use a run, and where none has for a while. */
  onUse: (executionId: string, inUse: boolean) => void;
}

export interface EdgeOptions extends Omit<EdgeSettings, 'looksUp'> {
  address: Address;
  routes: WatchableRoutes;
  /** Wakes paused sandboxes for their traffic. */
  wake: Wake;
  findSigner: FindSigner;
  /** Of routes that are written in another process. */
  lookUp?: LookUp;
}

/** A connection takes some 20 kB of it, and both proxies together take no more than 32,768. */
const HEAP_MB = 768;

/** From a thread's end to the next one's start, ms: after a long life, and after one shorter than `SHORT_LIFE_MS`. */
const RESTART_MS = 100;
const RESTART_AFTER_SHORT_LIFE_MS = 1_000;
const SHORT_LIFE_MS = 10_000;

const PULSE_MS = 5_000;

/**
 * Questions in a row that the thread may leave without an answer. Each is asked by a timer of this process, so one that
 * was stopped with all its threads for an hour has left one.
 */
const SILENT_PULSES = 4;

/** For a proxy to close, ms. One that does not ends with its thread. */
const CLOSE_MS = 5_000;

/** How a proxy is opened, by this thread and by each that follows. */
interface Plan {
  question:
    | { kind: 'open-edge'; settings: EdgeSettings }
    | { kind: 'open-node'; settings: NodeProxySettings };
  address: Address;
  routes: WatchableRoutes;
  /** The edge's. */
  answers?: Pick<EdgeOptions, 'wake' | 'findSigner' | 'lookUp'>;
  onUse?: NodeProxyOptions['onUse'];
}

type Question = Extract<ThreadRequest, { kind: 'open-edge' | 'open-node' | 'close' | 'figures' }>;
type WithoutId<Request> = Request extends unknown ? Omit<Request, 'id'> : never;

interface Asked {
  resolve: (answer: unknown) => void;
  reject: (error: Error) => void;
}

/**
 * The edge and the node's proxy, on a thread of their own: whatever their traffic costs, this one answers its
 * clients. The routes are told to the thread as they change. A thread that ends is followed by another, which
 * listens on the same ports; one that hangs is ended.
 */
export class ProxyThread implements AsyncDisposable {
  readonly #options: ProxyThreadOptions;
  readonly #plans = new Map<ProxyName, Plan>();
  /** Members of the cluster whom the node's proxy does not answer. */
  readonly #refused = new Set<string>();
  readonly #feeds = new Map<ProxyName, Disposable>();
  readonly #asked = new Map<number, Asked>();
  /** Execution ids that traffic uses now. */
  readonly #used = new Set<string>();
  readonly #figures: Disposable | undefined;
  #worker: Worker;
  #startedAt = 0;
  #nextId = 0;
  #restarts = 0;
  #closing = false;

  constructor(options: ProxyThreadOptions) {
    this.#options = options;
    this.#worker = this.#start();
    this.#figures = options.telemetry?.addThread(() => this.#ask({ kind: 'figures' }, []));
  }

  /** How often a thread ended by itself. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Opens the edge; gives its port. @throws Error if it cannot listen, or has no certificate. */
  openEdge({ address, routes, hosts, certificate, links, ...answers }: EdgeOptions): Promise<number> {
    const settings = { hosts, certificate, links, looksUp: answers.lookUp !== undefined };
    return this.#open('edge', {
      question: { kind: 'open-edge', settings },
      ...{ address, routes, answers },
    });
  }

  /** Opens the node's proxy; gives its port. @throws Error if it cannot listen. */
  openNodeProxy({ address, routes, onUse, links }: NodeProxyOptions): Promise<number> {
    return this.#open('node', {
      question: { kind: 'open-node', settings: { links, refused: [...this.#refused] } },
      ...{ address, routes, onUse },
    });
  }

  /** Stops listening, and ends the proxy's connections. */
  async close(proxy: ProxyName): Promise<void> {
    if (!this.#plans.delete(proxy)) return;
    // Where the thread ends meanwhile, the proxy is closed as well.
    const closed = this.#ask({ kind: 'close', proxy }, []).catch(() => undefined);
    await Promise.race([closed, sleep(CLOSE_MS, undefined, { ref: false })]);
    this.#stopFeeding(proxy);
  }

  /** Has the edge serve another certificate from now on, also on the threads that follow. */
  useCertificate(certificate: Certificate): void {
    const plan = this.#plans.get('edge');
    if (plan?.question.kind === 'open-edge') {
      const settings = { ...plan.question.settings, certificate };
      this.#plans.set('edge', { ...plan, question: { kind: 'open-edge', settings } });
    }
    this.#tell({ kind: 'certificate', certificate });
  }

  /** Has a proxy show other members of the cluster what its own is now, also on the threads that follow. */
  useLinks(proxy: ProxyName, links: LinkCredentials): void {
    const plan = this.#plans.get(proxy);
    if (plan) {
      const { kind, settings } = plan.question;
      const question = { kind, settings: { ...settings, links } } as Plan['question'];
      this.#plans.set(proxy, { ...plan, question });
    }
    this.#tell({ kind: 'links', proxy, links });
  }

  /** Has the node's proxy answer members of the cluster no more, also on the threads that follow. */
  refuse(memberIds: readonly string[]): void {
    const added = memberIds.filter((id) => !this.#refused.has(id));
    if (added.length === 0) return;
    for (const id of added) this.#refused.add(id);
    const plan = this.#plans.get('node');
    if (plan?.question.kind === 'open-node') {
      const settings = { ...plan.question.settings, refused: [...this.#refused] };
      this.#plans.set('node', { ...plan, question: { kind: 'open-node', settings } });
    }
    this.#tell({ kind: 'refuse', memberIds: added });
  }

  /** Ends the thread with all that it has open. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    this.#figures?.[Symbol.dispose]();
    await this.#worker.terminate();
  }

  async #open(proxy: ProxyName, plan: Plan): Promise<number> {
    const { port1, port2 } = new MessageChannel();
    const feed = feedRoutes(plan.routes, port1, (error) =>
      this.#options.logger.warn({ err: error, proxy }, 'lost the routes, following them again'),
    );
    this.#feeds.set(proxy, feed);
    try {
      const { question, address } = plan;
      const port = await this.#ask({ ...question, address, routes: port2 }, [port2]);
      if (typeof port !== 'number') throw new TypeError('the proxy was opened and names no port');
      this.#plans.set(proxy, { ...plan, address: { ...address, port } });
      return port;
    } catch (error) {
      this.#stopFeeding(proxy);
      throw error;
    }
  }

  #stopFeeding(proxy: ProxyName): void {
    this.#feeds.get(proxy)?.[Symbol.dispose]();
    this.#feeds.delete(proxy);
  }

  #tell(request: ThreadRequest): void {
    this.#worker.postMessage(request);
  }

  #ask(question: WithoutId<Question>, transfer: MessagePort[]): Promise<unknown> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject });
      this.#worker.postMessage({ ...question, id } satisfies ThreadRequest, transfer);
    });
  }

  #start(): Worker {
    const { program, logLevel, logger, telemetry, heapMb = HEAP_MB } = this.#options;
    const worker = new Worker(program, {
      workerData: {
        logLevel,
        isMeasured: telemetry?.isMeasured ?? false,
        tellsLog: telemetry?.takeLogLine !== undefined,
      } satisfies ThreadSettings,
      resourceLimits: { maxOldGenerationSizeMb: heapMb },
    });
    this.#startedAt = performance.now();
    worker.on('message', (message: ThreadMessage) => this.#take(message, worker));
    worker.on('error', (error) => logger.error({ err: error }, 'the thread of the proxies has failed'));
    worker.on('exit', () => void this.#onExit());
    this.#endIfItHangs(worker);
    return worker;
  }

  /** Begins with its first message: to load its program may take long on a busy machine. */
  #endIfItHangs(worker: Worker): void {
    const { logger, pulseMs = PULSE_MS } = this.#options;
    let silent = 0;
    const ask = () => {
      if (silent === SILENT_PULSES) {
        logger.error('the thread of the proxies hangs and is ended');
        void worker.terminate();
      }
      silent++;
      worker.postMessage({ kind: 'pulse' } satisfies ThreadRequest);
    };
    worker.once('message', () => {
      const timer = setInterval(ask, pulseMs).unref();
      worker.once('exit', () => clearInterval(timer));
    });
    worker.on('message', ({ kind }: ThreadMessage) => {
      if (kind === 'pulse') silent = 0;
    });
  }

  #take(message: ThreadMessage, worker: Worker): void {
    if (message.kind === 'pulse') return;
    if (message.kind === 'log') {
      this.#options.telemetry?.takeLogLine?.(message.line);
      return;
    }
    if (message.kind === 'use') {
      this.#use(message.executionId, message.inUse);
      return;
    }
    if (message.kind === 'wake' || message.kind === 'find-signer' || message.kind === 'look-up') {
      this.#answer(message, worker);
      return;
    }
    const asked = this.#asked.get(message.id);
    this.#asked.delete(message.id);
    if (message.kind === 'done') asked?.resolve(message.port);
    else if (message.kind === 'figures') asked?.resolve(message.figures);
    else asked?.reject(fromFailure(message.failure));
  }

  #use(executionId: string, inUse: boolean): void {
    if (inUse) this.#used.add(executionId);
    else this.#used.delete(executionId);
    this.#plans.get('node')?.onUse?.(executionId, inUse);
  }

  #answer(question: EdgeQuestion, worker: Worker): void {
    const { id, kind } = question;
    // A worker that has ended takes no answer, and nobody waits for it.
    const say = (request: ThreadRequest) => worker.postMessage(request);
    this.#find(question).then(
      (answer) => say({ kind: 'answer', id, answer }),
      (error: unknown) => {
        if (!(error instanceof IsletError))
          this.#options.logger.error({ err: error, kind }, 'a question of the edge was not answered');
        say({ kind: 'no-answer', id, failure: toFailure(error) });
      },
    );
  }

  async #find(question: EdgeQuestion): Promise<EdgeQuestions[EdgeQuestion['kind']]['answer']> {
    const answers = this.#plans.get('edge')?.answers;
    if (question.kind === 'find-signer') return answers?.findSigner(question.file);
    if (question.kind === 'look-up') return answers?.lookUp?.(question.sandboxId);
    if (!answers) return { kind: 'not-found' };
    return answers.wake(question.sandboxId, question.credentials);
  }

  async #onExit(): Promise<void> {
    // All that was under way has ended with it.
    for (const executionId of this.#used) this.#use(executionId, false);
    for (const proxy of [...this.#feeds.keys()]) this.#stopFeeding(proxy);
    for (const { reject } of this.#asked.values()) reject(new Error('the thread of the proxies has ended'));
    this.#asked.clear();
    if (this.#closing) return;
    this.#restarts++;
    const short = performance.now() - this.#startedAt < SHORT_LIFE_MS;
    const restarts = this.#restarts;
    this.#options.logger.error({ restarts }, 'the thread of the proxies has ended and is started again');
    await sleep(short ? RESTART_AFTER_SHORT_LIFE_MS : RESTART_MS, undefined, { ref: false });
    if (this.#closing) return;
    this.#worker = this.#start();
    await this.#openAgain();
  }

  async #openAgain(): Promise<void> {
    const worker = this.#worker;
    try {
      await Promise.all([...this.#plans].map(([proxy, plan]) => this.#open(proxy, plan)));
      this.#options.logger.info({ restarts: this.#restarts }, 'the proxies serve again');
    } catch (error) {
      if (this.#closing || worker !== this.#worker) return;
      this.#options.logger.error({ err: error }, 'the proxies could not be opened again');
      // Its end starts the next.
      await worker.terminate();
    }
  }
}
