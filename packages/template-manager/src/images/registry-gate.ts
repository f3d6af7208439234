import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import {
  connect,
  createServer as createTcpServer,
  type Server,
  type Socket,
  type TcpNetConnectOpts,
} from 'node:net';
import { join } from 'node:path';
import type { RegistryPolicy } from './registry-policy.ts';
import { type Pace, Traffic } from './traffic.ts';

/** The only way out for a program that pulls an image: a proxy on a socket. */
export interface RegistryGate extends AsyncDisposable {
  /** Where it listens; anyone who sees it may connect. */
  socketPath: string;
  /** The operator's proxy, if that is what it leads to. */
  proxy: URL | undefined;
  /** Hosts that were asked for and may not be reached. */
  refused: readonly string[];
  /** What comes in through it. */
  traffic: Traffic;
}

export interface GateOptions {
  policy: RegistryPolicy;
  /** The operator's proxy: everything goes there, and it says what may be reached; absent: the policy says it. */
  proxy: URL | undefined;
  /** Its socket lies in a folder of its own below. */
  gatesDir: string;
  pace: Pace;
}

const CONNECT_MS = 30_000;
const MAX_CONNECTIONS = 64;

/**
 * Opens a gate for one pull. Registries name further hosts, for tokens and for layers, and a name may lead elsewhere the next time: so
 * it resolves each name itself and connects to the address that it checked.
 */
export async function openRegistryGate({
  policy,
  proxy,
  gatesDir,
  pace,
}: GateOptions): Promise<RegistryGate> {
  const dir = await mkdtemp(join(gatesDir, 'gate-'));
  const refused: string[] = [];
  const traffic = new Traffic(pace);
  const server = proxy ? tunnelTo(proxy, traffic) : checkEach(policy, refused, traffic);
  server.maxConnections = MAX_CONNECTIONS;
  server.on('connection', (socket) => traffic.track(socket));
  const socketPath = join(dir, 'proxy');
  server.listen(socketPath);
  await once(server, 'listening');
  // The program inside runs as a user of its own; nobody else gets into the folder above.
  await chmod(socketPath, 0o666);
  return {
    ...{ socketPath, proxy, refused, traffic },
    async [Symbol.asyncDispose]() {
      server.close();
      traffic[Symbol.dispose]();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** An HTTP proxy that lets TLS through, and looks at every address it connects to. */
function checkEach(policy: RegistryPolicy, refused: string[], traffic: Traffic): Server {
  const server = createServer((_, response) => response.writeHead(403).end());
  return server.on('connect', (request: IncomingMessage, client: Socket) => {
    const fail = (status: string) => client.end(`HTTP/1.1 ${status}\r\n\r\n`);
    const target = `http://${request.url}`;
    if (!URL.canParse(target)) return fail('400 Bad Request');
    const { hostname, port } = new URL(target);
    const host = unbracketed(hostname);
    lookup(host, { all: true }).then(
      (found) => {
        const allowed = found.filter(({ address }) => policy.allows(address));
        if (allowed.length === 0) {
          refused.push(host);
          return fail('403 Forbidden');
        }
        // What was looked at, and nothing that the name might lead to by now.
        const options = {
          host,
          port: Number(port || 80),
          lookup: (_: string, __: object, done: Found) => done(null, allowed),
        };
        const upstream = open(options as TcpNetConnectOpts, traffic);
        upstream.once('error', () => fail('502 Bad Gateway'));
        upstream.once('connect', () => {
          client.write('HTTP/1.1 200 Connection established\r\n\r\n');
          traffic.join(client, upstream);
        });
      },
      () => fail('502 no such host'),
    );
  });
}

type Found = (error: null, addresses: { address: string; family: number }[]) => void;

function tunnelTo(proxy: URL, traffic: Traffic): Server {
  const port = Number(proxy.port || (proxy.protocol === 'https:' ? 443 : 80));
  return createTcpServer((client) => {
    const upstream = open({ host: unbracketed(proxy.hostname), port }, traffic);
    upstream.once('error', () => client.destroy());
    upstream.once('connect', () => traffic.join(client, upstream));
  });
}

function open(options: TcpNetConnectOpts, traffic: Traffic): Socket {
  const upstream = connect({ timeout: CONNECT_MS, autoSelectFamily: true, ...options });
  traffic.track(upstream);
  upstream.once('timeout', () => upstream.destroy());
  return upstream.once('connect', () => upstream.setTimeout(0));
}

export function unbracketed(host: string): string {
  return host.replace(/^\[|\]$/g, '');
}
