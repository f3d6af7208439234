import { type FedRoutes, type FindSigner, openFedRoutes, type Wake } from '@islet/catalog';
import type { Certificate, LinkCredentials } from '@islet/certificates';
import { type ClientProxy, createClientProxy, gateWakes, type LookUp } from '@islet/client-proxy';
import { PORTS } from '@islet/contracts';
import { createSandboxProxy, RunUses, type SandboxProxy, Turns } from '@islet/proxy';
import type { Logger } from '@islet/telemetry';
import { listen } from '../listen.ts';
import {
  type EdgeQuestions,
  fromFailure,
  type ProxyName,
  type ThreadMessage,
  type ThreadRequest,
  toFailure,
} from './messages.ts';

export interface ProxiesOptions {
  say: (message: ThreadMessage) => void;
  /** All figures of the thread now. */
  figures: () => Promise<unknown>;
  logger: Logger;
}

/** A proxy that is open, and the part of it that those of both kinds have. */
interface Opened {
  port: number;
  routes: FedRoutes;
  useLinks(links: LinkCredentials): void;
  close(): Promise<void>;
}

type Request<Kind extends ThreadRequest['kind']> = Extract<ThreadRequest, { kind: Kind }>;

/** Waits for the answer to a question. */
interface Waiting {
  resolve: (answer: unknown) => void;
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
  /** Refuses members, once it is open. */
  #node: SandboxProxy | undefined;
  readonly #refused = new Set<string>();
  /** The newest that was sent, which may be while the edge opens. */
  #certificate: Certificate | undefined;
  /** Likewise, of each proxy. */
  readonly #links = new Map<ProxyName, LinkCredentials>();
  readonly #uses: RunUses;
  readonly #waiting = new Map<number, Waiting>();
  #nextQuestion = 0;

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
      case 'certificate':
        this.#certificate = request.certificate;
        this.#edge?.useCertificate(request.certificate);
        break;
      case 'links':
        this.#links.set(request.proxy, request.links);
        this.#opened.get(request.proxy)?.useLinks(request.links);
        break;
      case 'refuse':
        for (const id of request.memberIds) this.#refused.add(id);
        this.#node?.refuse(request.memberIds);
        break;
      case 'figures':
        void this.#tellFigures(request.id);
        break;
      case 'pulse':
        this.#options.say({ kind: 'pulse' });
        break;
      case 'answer':
        this.#asked(request.id)?.resolve(request.answer);
        break;
      case 'no-answer':
        this.#asked(request.id)?.reject(fromFailure(request.failure));
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

  async #tellFigures(id: number): Promise<void> {
    const { say, figures } = this.#options;
    try {
      say({ kind: 'figures', id, figures: await figures() });
    } catch (error) {
      say({ kind: 'failed', id, failure: toFailure(error) });
    }
  }

  async #open(name: ProxyName, opening: Promise<Opened>): Promise<number> {
    const opened = await opening;
    const links = this.#links.get(name);
    if (links) opened.useLinks(links);
    this.#opened.set(name, opened);
    return opened.port;
  }

  async #openEdge({ address, routes: port, settings }: Request<'open-edge'>): Promise<Opened> {
    const routes = openFedRoutes(port, Date.now);
    const edge = createClientProxy({
      routes,
      wake: gateWakes(this.#wake),
      findSigner: this.#findSigner,
      lookUp: settings.looksUp ? this.#lookUp : undefined,
      envdPort: PORTS.envd,
      turns: this.#turns,
      uses: this.#uses,
      hosts: settings.hosts,
      certificate: settings.certificate,
      links: settings.links,
      logger: this.#options.logger.child({ component: 'client-proxy' }),
    });
    await edge.listen(address);
    if (this.#certificate) edge.useCertificate(this.#certificate);
    this.#edge = edge;
    return {
      port: edge.address().port,
      routes,
      useLinks: (links) => edge.useLinks(links),
      close: () => edge.close(),
    };
  }

  async #openNode({ address, routes: port, settings }: Request<'open-node'>): Promise<Opened> {
    const routes = openFedRoutes(port, Date.now);
    const proxy = createSandboxProxy({
      routes,
      turns: this.#turns,
      uses: this.#uses,
      links: settings.links,
      logger: this.#options.logger.child({ component: 'sandbox-proxy' }),
    });
    proxy.refuse([...settings.refused, ...this.#refused]);
    this.#node = proxy;
    return {
      port: await listen(proxy.server, address.host, address.port),
      routes,
      useLinks: (links) => proxy.useLinks(links),
      close: () => proxy.close(),
    };
  }

  async #close(name: ProxyName): Promise<undefined> {
    const opened = this.#opened.get(name);
    this.#opened.delete(name);
    if (name === 'edge') this.#edge = undefined;
    else this.#node = undefined;
    await opened?.close();
    opened?.routes[Symbol.dispose]();
  }

  readonly #wake: Wake = (sandboxId, credentials) => this.#ask('wake', { sandboxId, credentials });

  readonly #findSigner: FindSigner = (file) => this.#ask('find-signer', { file });

  readonly #lookUp: LookUp = (sandboxId) => this.#ask('look-up', { sandboxId });

  #ask<Name extends keyof EdgeQuestions>(
    kind: Name,
    ask: EdgeQuestions[Name]['ask'],
  ): Promise<EdgeQuestions[Name]['answer']> {
    return new Promise((resolve, reject) => {
      const id = this.#nextQuestion++;
      this.#waiting.set(id, { resolve: resolve as Waiting['resolve'], reject });
      this.#options.say({ kind, id, ...ask } as ThreadMessage);
    });
  }

  #asked(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }
}
