import type { CommandHandle, Sandbox } from 'e2b';
import { until } from '../setup/until.ts';

/** What the tests of ports and the browser talk to: plain Node, with no package, run inside the sandbox. */
const SOURCE = String.raw`
import { createServer } from 'node:http';
import { createHash, randomBytes } from 'node:crypto';

const [port, host, name] = process.argv.slice(2);
let events;
let downloaded;

const PAGE = '<!doctype html><title>from the sandbox</title><p id="said">nothing</p><script>' +
  'const socket = new WebSocket(location.origin.replace("http", "ws") + "/socket", "mine");' +
  'socket.onopen = () => socket.send("from the page");' +
  'socket.onmessage = async ({ data }) => {' +
  '  const { url } = await (await fetch("/echo?from=page")).json();' +
  '  document.querySelector("#said").textContent = "socket: " + await (data.text?.() ?? data) + ", fetch: " + url;' +
  '};</script>';

async function bodyOf(request) {
  const hash = createHash('sha256');
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    hash.update(chunk);
    size += chunk.length;
    if (size < 100000) chunks.push(chunk);
  }
  return { size, sha256: hash.digest('hex'), text: Buffer.concat(chunks).toString() };
}

const routes = {
  page: (request, response) => response.setHeader('Content-Type', 'text/html').end(PAGE),
  name: (request, response) => response.end(name),
  async echo({ method, url, headers }, response, body) {
    response.setHeader('Content-Type', 'application/json').end(JSON.stringify({ method, url, headers, body: body.text }));
  },
  status(request, response) {
    response.writeHead(Number(request.url.split('/')[2]), { 'X-Answered': 'by the sandbox' }).end();
  },
  redirect(request, response) {
    response.writeHead(302, { Location: '/echo', 'Set-Cookie': ['a=1', 'b=2'] }).end();
  },
  events(request, response) {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders();
    events = response;
  },
  emit(request, response) {
    events.write('data: ' + request.url.split('?')[1] + '\n\n');
    response.end();
  },
  async download(request, response) {
    const size = Number(request.url.split('?')[1]);
    const hash = createHash('sha256');
    for (let sent = 0; sent < size; ) {
      const block = randomBytes(Math.min(262144, size - sent));
      hash.update(block);
      sent += block.length;
      if (!response.write(block)) await new Promise((done) => response.once('drain', done));
    }
    downloaded = hash.digest('hex');
    response.end();
  },
  downloaded: (request, response) => response.end(JSON.stringify({ sha256: downloaded })),
  upload: (request, response, body) => response.end(JSON.stringify({ size: body.size, sha256: body.sha256 })),
};

const server = createServer(async (request, response) => {
  const route = request.url.split(/[/?]/)[1] || 'page';
  if (route === 'mirror') return request.pipe(response);
  if (!routes[route]) return response.writeHead(404).end();
  await routes[route](request, response, await bodyOf(request));
});

/** The few lines of RFC 6455 that an echo takes: frames go back as they came, unmasked. */
server.on('upgrade', (request, socket) => {
  if (request.url !== '/socket') return socket.end('HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n');
  const accept = createHash('sha1')
    .update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    'Sec-WebSocket-Protocol: mine\r\nSec-WebSocket-Accept: ' + accept + '\r\n\r\n');
  let pending = Buffer.alloc(0);
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    pending = Buffer.concat([pending, chunk]);
    for (let frame = parse(pending); frame; frame = parse(pending)) {
      pending = pending.subarray(frame.end);
      socket.write(frame.answer);
      if (frame.opcode === 8) socket.end();
    }
  });
});

function parse(bytes) {
  if (bytes.length < 2) return;
  const opcode = bytes[0] & 15;
  const short = bytes[1] & 127;
  const extra = short === 126 ? 2 : short === 127 ? 8 : 0;
  if (bytes.length < 2 + extra + 4) return;
  const size = extra === 2 ? bytes.readUInt16BE(2) : extra === 8 ? Number(bytes.readBigUInt64BE(2)) : short;
  const start = 2 + extra + 4;
  if (bytes.length < start + size) return;
  const mask = bytes.subarray(start - 4, start);
  const data = Buffer.from(bytes.subarray(start, start + size));
  for (let at = 0; at < size; at++) data[at] ^= mask[at & 3];
  const head = Buffer.concat([Buffer.of(bytes[0], short), bytes.subarray(2, 2 + extra)]);
  return { opcode, end: start + size, answer: Buffer.concat([head, data]) };
}

server.listen(Number(port), host, () => console.log('listening'));
`;

export interface ServerOptions {
  port: number;
  /** Where it listens; everywhere unless told. */
  host?: string;
  /** What GET /name answers. */
  name?: string;
}

/** Starts the server in a sandbox and waits until it listens. */
export async function startServer(
  sandbox: Sandbox,
  { port, host = '::', name = 'server' }: ServerOptions,
): Promise<CommandHandle> {
  await sandbox.files.write('/home/user/server.mjs', SOURCE);
  const handle = await sandbox.commands.run(`exec node server.mjs ${port} ${host} ${name}`, {
    background: true,
    timeoutMs: 0,
  });
  await until(
    `a server listens on ${port}`,
    60_000,
    () => ({ said: handle.stdout, complained: handle.stderr, exitCode: handle.exitCode }),
    ({ said, exitCode }) => said.includes('listening') || exitCode !== undefined,
  );
  if (handle.exitCode !== undefined) throw new Error(`the server ended: ${handle.stderr}`);
  return handle;
}
