import { type CatalogReplica, openReplica, type Wake, type WakeOutcome } from '@islet/catalog';
import { type Certificate, type ClientProxy, createClientProxy, gateWakes } from '@islet/client-proxy';
import { PORTS } from '@islet/contracts';
import { createSandboxProxy, RunUses, servesTraffic, Turns, toSandboxRoute } from '@islet/proxy';
import type { Logger } from '@islet/telemetry';
import { listen } from '../listen.ts';
import {
  fromFailure,
  type ProxyName,
  type ThreadMessage,
  type ThreadRequest,
  toFailure,
} from './messages.ts';

export interface ProxiesOptions {
  say: (message: ThreadMessage) => void;
  logger: Logger;
}

/** A proxy that is open, and the part of it that those of both kinds have. */
interface Opened {
  port: number;
  replica: CatalogReplica;
  closeRun(executionId: string): void;
  drainRun(executionId: string, graceMs: number): void;
  close(): Promise<void>;
}

type Request<Kind extends ThreadRequest['kind']> = Extract<ThreadRequest, { kind: Kind }>;

interface Waiting {
  resolve: (outcome: WakeOutcome) => void;
  reject: (error: Error) => void;
}

/** The edge and the node's proxy as they are on the proxies' thread. */
export class Proxies {
  readonly #options: ProxiesOptions;
  readonly #opened = new Map<ProxyName, Opened>();
  /** Both proxies share the thread, and so its turns. */
  readonly #turns = new Turns();
  /** Serves a newer certificate, once the edge is open. */
  #edge: ClientProxy | undefined;
  /** The newest that was sent, which may be while the edge opens. */
  #certificate: Certificate | undefined;
  readonly #uses: RunUses;
  readonly #waking = new Map<number, Waiting>();
  #nextWake = 0;

  constructor(options: ProxiesOptions) {
    this.#options = options;
    this.#uses = new RunUses((executionId, inUse) => options.say({ kind: 'use', executionId, inUse }));
  }

  take(request: ThreadRequest): void {
    switch (request.kind) {
      case 'open-edge':
        this.#answer(request.id, this.#open('edge', this.#openEdge(request)));
        break;
      case 'open-node':
        this.#answer(request.id, this.#open('node', this.#openNode(request)));
        break;
      case 'close':
        this.#answer(request.id, this.#close(request.proxy));
        break;
      case 'close-run':
        for (const proxy of this.#opened.values()) proxy.closeRun(request.executionId);
        break;
      case 'drain-run':
        for (const proxy of this.#opened.values()) proxy.drainRun(request.executionId, request.graceMs);
        break;
      case 'certificate':
        this.#certificate = request.certificate;
        this.#edge?.useCertificate(request.certificate);
        break;
      case 'pulse':
        this.#options.say({ kind: 'pulse' });
        break;
      case 'woken':
        this.#woken(request.id)?.resolve(request.outcome);
        break;
      case 'not-woken':
        this.#woken(request.id)?.reject(fromFailure(request.failure));
        break;
    }
  }

  #answer(id: number, work: Promise<number | undefined>): void {
    const { say } = this.#options;
    work.then(
      (port) => say({ kind: 'done', id, ...(port === undefined ? {} : { port }) }),
      (error: unknown) => say({ kind: 'failed', id, failure: toFailure(error) }),
    );
  }

  async #open(name: ProxyName, opening: Promise<Opened>): Promise<number> {
    const opened = await opening;
    this.#opened.set(name, opened);
    return opened.port;
  }

  async #openEdge({ address, catalog, settings }: Request<'open-edge'>): Promise<Opened> {
    const replica = openReplica(catalog);
    const edge = createClientProxy({
      catalog: replica,
      wake: gateWakes({ catalog: replica, wake: this.#wake }),
      envdPort: PORTS.envd,
      turns: this.#turns,
      uses: this.#uses,
      hosts: settings.hosts,
      certificate: settings.certificate,
      logger: this.#options.logger.child({ component: 'client-proxy' }),
    });
    await edge.listen(address);
    if (this.#certificate) edge.useCertificate(this.#certificate);
    this.#edge = edge;
    const { closeRun, drainRun, close } = edge;
    return { port: edge.address().port, replica, closeRun, drainRun, close: () => close() };
  }

  async #openNode({ address, catalog }: Request<'open-node'>): Promise<Opened> {
    const replica = openReplica(catalog);
    const proxy = createSandboxProxy({
      turns: this.#turns,
      uses: this.#uses,
      lookup: (sandboxId) => {
        const sandbox = replica.find(sandboxId)?.sandbox;
        return sandbox && servesTraffic(sandbox) ? toSandboxRoute(sandbox) : undefined;
      },
      logger: this.#options.logger.child({ component: 'sandbox-proxy' }),
    });
    const port = await listen(proxy.server, address.host, address.port);
    const { closeRun, drainRun, close } = proxy;
    return { port, replica, closeRun, drainRun, close };
  }

  async #close(name: ProxyName): Promise<undefined> {
    const opened = this.#opened.get(name);
    this.#opened.delete(name);
    if (name === 'edge') this.#edge = undefined;
    await opened?.close();
    opened?.replica.close();
  }

  readonly #wake: Wake = (sandboxId, credentials) =>
    new Promise((resolve, reject) => {
      const id = this.#nextWake++;
      this.#waking.set(id, { resolve, reject });
      this.#options.say({ kind: 'wake', id, sandboxId, credentials });
    });

  #woken(id: number): Waiting | undefined {
    const waiting = this.#waking.get(id);
    this.#waking.delete(id);
    return waiting;
  }
}
