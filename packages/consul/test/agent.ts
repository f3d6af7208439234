import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Registered {
  ID: string;
  Name: string;
  Address: string;
  Port: number;
  Meta: Record<string, string>;
  Check: Record<string, string>;
  status: 'passing' | 'critical';
}

/** The part of a Consul agent's HTTP API that Islet uses, as its documentation has it. Checks are as the test says. */
export class TestAgent implements AsyncDisposable {
  readonly #server: Server;
  readonly services = new Map<string, Registered>();
  readonly #waiting = new Set<() => void>();
  #index = 100;
  /** Questions for instances that were answered. */
  answered = 0;
  /** Questions that were answered by what is in place of all else. */
  refused = 0;
  /** What it answers in place of all else. */
  instead: { status: number; text: string } | undefined;
  /** The token that it wants; undefined: none. */
  token: string | undefined;
  /** How a check comes out at first: a real one is critical until it was made. */
  checksBegin: Registered['status'] = 'critical';

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  static async start(port = 0): Promise<TestAgent> {
    const agent = new TestAgent();
    await new Promise<void>((done) => agent.#server.listen(port, '127.0.0.1', done));
    return agent;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** A check has come out otherwise. */
  setStatus(id: string, status: Registered['status']): void {
    const service = this.services.get(id);
    if (service) service.status = status;
    this.#changed();
  }

  /** Something else in the catalogue has changed: the index rises and the instances stay. */
  stir(): void {
    this.#changed();
  }

  /** As after a restore: all is there, and counted from the beginning. */
  countAnew(): void {
    this.#index = 1;
    this.#changed();
  }

  /** As an agent that is started again with an empty directory. */
  forget(): void {
    this.services.clear();
    this.#changed();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  #changed(): void {
    this.#index++;
    for (const wake of [...this.#waiting]) wake();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '', this.url);
    const say = (status: number, body: unknown, headers: Record<string, string> = {}) => {
      response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    };
    if (this.instead) {
      this.refused++;
      return say(this.instead.status, this.instead.text);
    }
    if (this.token !== undefined && request.headers['x-consul-token'] !== this.token) {
      return say(403, 'Permission denied');
    }
    const [, of = '', id = ''] =
      /^\/v1\/(health\/service|agent\/service|agent\/service\/deregister)\/([^/]+)$/.exec(pathname) ?? [];
    if (request.method === 'PUT' && pathname === '/v1/agent/service/register') {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const service = JSON.parse(Buffer.concat(chunks).toString()) as Registered;
      this.services.set(service.ID, { ...service, status: this.checksBegin });
      this.#changed();
      return say(200, '');
    }
    if (request.method === 'PUT' && of === 'agent/service/deregister') {
      this.services.delete(decodeURIComponent(id));
      this.#changed();
      return say(200, '');
    }
    if (of === 'agent/service') {
      const service = this.services.get(decodeURIComponent(id));
      return service ? say(200, service) : say(404, `unknown service ID: ${id}`);
    }
    if (of !== 'health/service') return say(404, '');
    await this.#block(Number(searchParams.get('index')), searchParams.get('wait') ?? '5m', request);
    this.answered++;
    const named = [...this.services.values()].filter(({ Name }) => Name === decodeURIComponent(id));
    say(
      200,
      named.map(({ status, ID, Name, Address, Port, Meta }) => ({
        Node: { Node: 'machine', Address: '10.9.9.9', Datacenter: 'dc1' },
        Service: { ID, Service: Name, Address, Port, Meta, Tags: [], Weights: { Passing: 1, Warning: 1 } },
        Checks: [
          { CheckID: 'serfHealth', Status: 'passing' },
          { CheckID: `service:${ID}`, Status: status },
        ],
      })),
      { 'X-Consul-Index': String(this.#index), 'X-Consul-KnownLeader': 'true' },
    );
  }

  /** Until the index is another than the one that is named, or the time is over. */
  #block(index: number, wait: string, request: IncomingMessage): Promise<void> {
    if (index === 0 || index !== this.#index) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#waiting.delete(end);
        resolve();
      };
      const timer = setTimeout(end, Number.parseInt(wait, 10));
      this.#waiting.add(end);
      request.once('close', end);
    });
  }
}
