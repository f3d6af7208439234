import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createMemoryRoutes, followRoutes, type IngressPolicy, type Route, RouteTable } from '@islet/catalog';
import { testRoute } from '@islet/catalog/contract';
import { type Certificate, issueCertificate, makeAuthority } from '@islet/certificates';
import { newSandboxId, tokenDigest } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import { type ClientProxy, type ClientProxyOptions, createClientProxy } from '../src/index.ts';

interface SandboxInit extends Partial<Omit<Route, 'ingress'>> {
  envdAccessToken?: string;
  trafficAccessToken?: string;
  ingress?: Partial<IngressPolicy>;
}

/** To a running sandbox whose "IP" is an address of the loopback network. */
export function sandboxRoute(address: string, init: SandboxInit = {}): Route {
  const { envdAccessToken, trafficAccessToken, ingress, ...over } = init;
  return testRoute(over.sandboxId ?? newSandboxId(), {
    ...{ executionId: `run-${newSandboxId()}`, address },
    ingress: {
      publicTraffic: true,
      trafficTokenDigest: trafficAccessToken === undefined ? undefined : tokenDigest(trafficAccessToken),
      maskRequestHost: undefined,
      ...ingress,
    },
    envdTokenDigest: envdAccessToken === undefined ? undefined : tokenDigest(envdAccessToken),
    ...over,
  });
}

/** A certificate for the edge of a domain, and the authority that signed it. */
export async function certificateFor(
  domain: string,
): Promise<{ authority: Certificate; certificate: Certificate }> {
  const authority = await makeAuthority(domain, 'tests', new Date());
  return { authority, certificate: await issueCertificate(authority, domain, new Date()) };
}

/** An edge on a free port of loopback with what tests need around it; disposing ends everything. */
export class Edge {
  readonly routes = createMemoryRoutes(Date.now);
  readonly proxy: ClientProxy;
  readonly envdPort: number;
  readonly #servers: Server[] = [];
  readonly #following: Disposable;

  private constructor(proxy: (routes: RouteTable) => ClientProxy, envdPort: number) {
    const table = new RouteTable(Date.now);
    this.#following = followRoutes(this.routes, table, () => {});
    this.proxy = proxy(table);
    this.envdPort = envdPort;
  }

  static async start(options: Partial<ClientProxyOptions> = {}): Promise<Edge> {
    const certificate =
      'certificate' in options ? options.certificate : (await certificateFor('sandboxes.test')).certificate;
    const envdPort = options.envdPort ?? 49983;
    const edge = new Edge(
      (routes) =>
        createClientProxy({
          routes,
          envdPort,
          logger: createLogger({ service: 'edge-test', level: 'silent' }),
          ...options,
          certificate,
        }),
      envdPort,
    );
    await edge.proxy.listen({ host: '127.0.0.1', port: 0 });
    return edge;
  }

  get port(): number {
    return this.proxy.address().port;
  }

  /** The sandbox is no more. */
  async remove({ sandboxId, executionId }: Route): Promise<void> {
    await this.routes.remove(sandboxId, executionId);
  }

  /** Serves in a "sandbox"; gives back the port. */
  async serve(
    address: string,
    listener: RequestListener,
    port = 0,
  ): Promise<{ server: Server; port: number }> {
    const server = createServer({ maxHeaderSize: 128 * 1024 }, listener);
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(port, address, resolve));
    return { server, port: (server.address() as AddressInfo).port };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy.close();
    this.#following[Symbol.dispose]();
    for (const server of this.#servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }
}

export interface RawAnswer {
  status: number;
  reason: string;
  headers: Record<string, string | string[] | undefined>;
  rawHeaders: string[];
  body: Buffer;
  trailers: Record<string, string | undefined>;
}
