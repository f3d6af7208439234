import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { RegistryPolicy } from './registry-policy.ts';

/** The only way out for a program that pulls an image: an HTTP proxy on a socket, which looks at every address it connects to. */
export interface RegistryGate extends AsyncDisposable {
  /** Where it listens. */
  socketPath: string;
  /** Hosts that were asked for and may not be reached. */
  refused: readonly string[];
}

const CONNECT_MS = 30_000;

/**
 * Opens a gate for one pull. Registries name further hosts, for tokens and for layers, and a name may lead elsewhere the next time: so
 * it resolves each name itself and connects to the address that it checked. Its socket lies in a folder of its own below `gatesDir`.
 */
export async function openRegistryGate(policy: RegistryPolicy, gatesDir: string): Promise<RegistryGate> {
  const dir = await mkdtemp(join(gatesDir, 'gate-'));
  const refused: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((_, response) => response.writeHead(403).end());
  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
  };
  server.on('connection', track);
  server.on('connect', (request, client: Socket) => {
    const fail = (status: string) => client.end(`HTTP/1.1 ${status}\r\n\r\n`);
    const target = `http://${request.url}`;
    if (!URL.canParse(target)) return fail('400 Bad Request');
    const { hostname, port } = new URL(target);
    const host = hostname.replace(/^\[|\]$/g, '');
    lookup(host, { all: true }).then(
      (found) => {
        const allowed = found.filter(({ address }) => policy.allows(address));
        if (allowed.length === 0) {
          refused.push(host);
          return fail('403 Forbidden');
        }
        const upstream = connect({
          host,
          port: Number(port || 80),
          timeout: CONNECT_MS,
          autoSelectFamily: true,
          // What was looked at, and nothing that the name might lead to by now.
          lookup: (_, __, done) => done(null, allowed),
        });
        track(upstream);
        upstream.once('timeout', () => upstream.destroy());
        upstream.once('error', () => fail('502 Bad Gateway'));
        upstream.once('connect', () => {
          upstream.setTimeout(0);
          client.write('HTTP/1.1 200 Connection established\r\n\r\n');
          client.pipe(upstream).pipe(client);
          client.once('close', () => upstream.destroy());
          upstream.once('close', () => client.destroy());
        });
      },
      () => fail('502 no such host'),
    );
  });
  const socketPath = join(dir, 'proxy');
  server.listen(socketPath);
  await once(server, 'listening');
  return {
    socketPath,
    refused,
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/**
 * Runs in a network namespace that has nothing but itself: offers the gate there as a proxy on a port, since programs know no proxies on
 * sockets, and runs the command that is given.
 */
const INSIDE = `
const { execFileSync, spawn } = require('node:child_process');
const { connect, createServer } = require('node:net');
const [socketPath, program, ...args] = process.argv.slice(1);
execFileSync('ip', ['link', 'set', 'lo', 'up']);
const server = createServer((client) => {
  const gate = connect(socketPath);
  client.on('error', () => gate.destroy());
  gate.on('error', () => client.destroy());
  client.pipe(gate).pipe(client);
}).listen(0, '127.0.0.1', () => {
  const proxy = 'http://127.0.0.1:' + server.address().port;
  const env = { ...process.env, HTTPS_PROXY: proxy, HTTP_PROXY: proxy, NO_PROXY: '', https_proxy: '', http_proxy: '', no_proxy: '' };
  const child = spawn(program, args, { env, stdio: 'inherit' });
  child.on('error', (error) => { console.error(error.message); process.exit(127); });
  child.on('exit', (code) => process.exit(code ?? 1));
});
`;

/** A command that reaches the network through the gate alone. To be run as root, in a process of its own. */
export function behindGate({ socketPath }: RegistryGate, command: readonly string[]): string[] {
  return ['unshare', '--net', process.execPath, '-e', INSIDE, socketPath, ...command];
}
