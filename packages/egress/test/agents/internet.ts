import { createSocket } from 'node:dgram';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { serveCalls } from './rpc.ts';

/** Servers of a small internet: each says where it was reached, and as whom. */
const zone = new Map<string, string[]>();
const asked: string[] = [];
const proxied: string[] = [];
const quiet = (socket: Socket) => socket.on('error', () => undefined);

function listen(server: { listen: (port: number, host: string, done: () => void) => unknown }, port: number) {
  return new Promise<void>((resolve) => server.listen(port, '0.0.0.0', resolve));
}

async function web(): Promise<void> {
  const server = createHttpServer({ insecureHTTPParser: true }, (request, response) => {
    request.resume().on('end', () => {
      const said = { at: request.socket.localAddress, host: request.headers.host, url: request.url };
      response.end(JSON.stringify(said));
    });
  });
  server.on('upgrade', (_request, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n');
    socket.on('error', () => undefined).pipe(socket);
  });
  server.on('connect', (request, socket) => {
    socket.end(`HTTP/1.1 200 OK\r\n\r\ntunnel to ${request.url}`);
  });
  await listen(server, 80);
}

/** Answers any ClientHello with an alert; what it saw comes first. */
async function tls(cert: string, key: string): Promise<void> {
  const server = createTlsServer({ cert, key }, (socket: TLSSocket) => {
    quiet(socket);
    socket.end(JSON.stringify({ at: socket.localAddress, name: socket.servername || undefined }));
  });
  server.on('tlsClientError', () => undefined);
  await listen(server, 443);
}

async function others(): Promise<void> {
  const greeter = createServer((socket) => quiet(socket).write(`welcome at ${socket.localAddress}\n`));
  await listen(greeter, 22);
  const echo = createServer({ allowHalfOpen: true }, (socket) => quiet(socket).pipe(socket));
  await listen(echo, 7);
  // Counts until the client ends its half, and says then how much that was.
  const counter = createServer({ allowHalfOpen: true }, (socket) => {
    let bytes = 0;
    quiet(socket)
      .on('data', (piece: Buffer) => {
        bytes += piece.length;
      })
      .on('end', () => socket.end(String(bytes)));
  });
  await listen(counter, 9);
}

/** A, by UDP: what a name has now; nothing for all others. */
function dns(): void {
  const socket = createSocket('udp4').bind(53, '8.8.8.8');
  socket.on('message', (query, from) => {
    const labels: string[] = [];
    let at = 12;
    for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
      labels.push(query.toString('latin1', at + 1, at + 1 + length));
      at += 1 + length;
    }
    const name = labels.join('.').toLowerCase();
    asked.push(name);
    const addresses = zone.get(name) ?? [];
    const head = Buffer.from([
      0,
      0,
      0x81,
      addresses.length > 0 ? 0x80 : 0x83,
      0,
      1,
      0,
      addresses.length,
      0,
      0,
      0,
      0,
    ]);
    query.copy(head, 0, 0, 2);
    const answers = addresses.map((address) =>
      Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split('.').map(Number)]),
    );
    socket.send(Buffer.concat([head, query.subarray(12, at + 5), ...answers]), from.port, from.address);
  });
}

/** A proxy that notes where to, and connects to itself in place of it. */
async function socks(): Promise<void> {
  const server = createServer((client) => {
    quiet(client);
    let held = Buffer.alloc(0);
    let step = 0;
    client.on('data', function onData(piece: Buffer) {
      held = Buffer.concat([held, piece]);
      if (step === 0 && held.length >= 2 && held.length >= 2 + (held[1] as number)) {
        client.write(Buffer.from([5, held.includes(2, 2) ? 2 : 0]));
        step = held.includes(2, 2) ? 1 : 2;
        held = Buffer.alloc(0);
      } else if (step === 1) {
        const user = held.toString('latin1', 2, 2 + (held[1] as number));
        client.write(Buffer.from([1, user === 'wrong' ? 1 : 0]));
        step = 2;
        held = Buffer.alloc(0);
      } else if (step === 2) {
        client.off('data', onData).pause();
        const isName = held[3] === 3;
        const end = isName ? 5 + (held[4] as number) : 8;
        const host = isName ? held.toString('latin1', 5, end) : [...held.subarray(4, 8)].join('.');
        const port = held.readUInt16BE(end);
        proxied.push(`${isName ? 'name' : 'address'} ${host} ${port}`);
        const upstream = quiet(connect(port, isName ? (zone.get(host)?.[0] ?? '0.0.0.0') : host));
        upstream.on('connect', () => {
          client.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
          client.pipe(upstream).pipe(client);
        });
        upstream.on('error', () => client.end(Buffer.from([5, 5, 0, 1, 0, 0, 0, 0, 0, 0])));
      }
    });
  });
  await listen(server, 1080);
}

serveCalls({
  async start(cert: string, key: string) {
    dns();
    await Promise.all([web(), tls(cert, key), others(), socks()]);
  },
  name: (name: string, addresses: string[]) => void zone.set(name, addresses),
  asked: () => asked.splice(0),
  proxied: () => proxied.splice(0),
});
