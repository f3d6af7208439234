import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { create } from '@bufbuild/protobuf';
import { type Catalog, type CatalogEntry, createMemoryCatalog } from '@islet/catalog';
import { newSandboxId, orchestratorProto } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import {
  type Certificate,
  type ClientProxy,
  type ClientProxyOptions,
  createClientProxy,
  issueCertificate,
  makeAuthority,
} from '../src/index.ts';

type ConfigInit = Partial<
  Pick<orchestratorProto.SandboxConfig, 'envdAccessToken' | 'trafficAccessToken' | 'sandboxId' | 'teamId'>
> & {
  ingress?: { allowPublicTraffic: boolean; maskRequestHost?: string };
};

/** A running sandbox whose "IP" is an address of the loopback network. */
export function sandboxEntry(address: string, config: ConfigInit = {}): CatalogEntry {
  const sandboxId = config.sandboxId ?? newSandboxId();
  const sandbox = create(orchestratorProto.SandboxSchema, {
    config: { teamId: 't', ingress: { allowPublicTraffic: true }, ...config, sandboxId },
    state: orchestratorProto.SandboxState.RUNNING,
    executionId: `run-${newSandboxId()}`,
    nodeId: 'n',
    address,
  });
  return { sandbox, route: { kind: 'direct' } };
}

export function idOf(entry: CatalogEntry): string {
  return entry.sandbox.config?.sandboxId ?? '';
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
  readonly catalog: Catalog = createMemoryCatalog();
  readonly proxy: ClientProxy;
  readonly envdPort: number;
  readonly #servers: Server[] = [];

  private constructor(proxy: (catalog: Catalog) => ClientProxy, envdPort: number) {
    this.proxy = proxy(this.catalog);
    this.envdPort = envdPort;
  }

  static async start(options: Partial<ClientProxyOptions> = {}): Promise<Edge> {
    const certificate =
      'certificate' in options ? options.certificate : (await certificateFor('sandboxes.test')).certificate;
    const envdPort = options.envdPort ?? 49983;
    const edge = new Edge(
      (catalog) =>
        createClientProxy({
          catalog,
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
