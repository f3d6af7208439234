// An internet for sandboxes in a network namespace of its own: web, TLS, DNS and SOCKS5 servers, one that speaks first, and one
// that echoes datagrams. Its argument is a JSON object: `servers` (addresses), `resolvers` (those of them that answer DNS), `names`
// (from a name to its addresses, of which one question after the other gets the next), `key` and `cert` (files), `proxies` (ports of
// SOCKS5 at `proxy`, with the user and password that each wants). It prints "ready". For each line on stdin it prints what it has
// seen since the last one, as JSON: of HTTP the server's address, the Host and the server name; of datagrams their text.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { dnsAnswer } from '../setup/dns-answer.mjs';

const { servers, resolvers, names, key, cert, proxy, proxies } = JSON.parse(process.argv[2]);
let seen = [];

const answer = (address) => (request, response) => {
  const { host } = request.headers;
  const name = request.socket.servername || undefined;
  seen.push({
    ...{ kind: name === undefined ? 'http' : 'https', address, host, name, path: request.url },
    headers: request.headers,
  });
  const to = new URL(request.url, 'http://any').searchParams.get('to');
  if (to) return response.writeHead(302, { Location: to }).end();
  response.end(`hello from ${address} for ${host}\n`);
};
const listening = (server, port, address) => once(server.listen(port, address), 'listening');
const survives = (socket) => socket.on('error', () => socket.destroy());

for (const address of servers) {
  await listening(createHttpServer(answer(address)), 80, address);
  const tls = createHttpsServer({ key: readFileSync(key), cert: readFileSync(cert) }, answer(address));
  await listening(tls, 443, address);
  await listening(createHttpServer(answer(address)), 8080, address);
  const ssh = createServer((socket) => {
    survives(socket).write('SSH-2.0-test\r\n');
    socket.once('data', () => socket.end('Permission denied (publickey)\r\n'));
  });
  await listening(ssh, 22, address);
  const echo = createSocket('udp4');
  echo.on('message', (message, { address: from, port }) => {
    seen.push({ kind: 'udp', address, text: message.toString('latin1') });
    echo.send(`echo from ${address}`, port, from);
  });
  echo.bind(7001, address);
  await once(echo, 'listening');
}

const turns = new Map();
for (const address of resolvers) {
  const udp = createSocket('udp4');
  udp.on('message', (query, { address: from, port }) => udp.send(resolve(query), port, from));
  udp.bind(53, address);
  await once(udp, 'listening');
  const tcp = createServer((socket) => {
    survives(socket).once('data', (data) => {
      const reply = resolve(data.subarray(2));
      const length = Buffer.alloc(2);
      length.writeUInt16BE(reply.length);
      socket.end(Buffer.concat([length, reply]));
    });
  });
  await listening(tcp, 53, address);
}

for (const { port, username, password } of proxies) {
  await listening(
    createServer(
      (socket) => void serveSocks(survives(socket), username, password).catch(() => socket.destroy()),
    ),
    port,
    proxy,
  );
}

/** One client of a SOCKS5 server (RFC 1928, 1929) that connects and nothing else. */
async function serveSocks(socket, username, password) {
  const read = reader(socket);
  const [, methods] = await read(2);
  const offered = [...(await read(methods))];
  const method = username === undefined ? 0 : 2;
  if (!offered.includes(method)) return socket.end(Buffer.from([5, 0xff]));
  socket.write(Buffer.from([5, method]));
  if (method === 2) {
    const [, userLength] = await read(2);
    const user = (await read(userLength)).toString();
    const [passLength] = await read(1);
    const isRight = user === username && (await read(passLength)).toString() === password;
    socket.write(Buffer.from([1, isRight ? 0 : 1]));
    if (!isRight) return socket.end();
  }
  const [, , , type] = await read(4);
  const host = type === 3 ? (await read((await read(1))[0])).toString() : [...(await read(4))].join('.');
  const port = (await read(2)).readUInt16BE();
  seen.push({ kind: 'socks', host, port, type: type === 3 ? 'name' : 'address', user: username });
  const target = connect(port, type === 3 ? (names[host]?.[0] ?? '0.0.0.0') : host);
  target.on('error', () => socket.destroy());
  await once(target, 'connect');
  socket.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
  socket.off('data', read.take);
  if (read.rest().length > 0) target.write(read.rest());
  socket.pipe(target).pipe(socket);
}

/** Reads a socket by numbers of bytes. */
function reader(socket) {
  let held = Buffer.alloc(0);
  let wake = () => {};
  const take = (data) => {
    held = Buffer.concat([held, data]);
    wake();
  };
  socket.on('data', take);
  const read = async (count) => {
    while (held.length < count) await new Promise((resolve) => (wake = resolve));
    const bytes = held.subarray(0, count);
    held = held.subarray(count);
    return bytes;
  };
  return Object.assign(read, { take, rest: () => held });
}

/** One that has several addresses gives them in turn. */
function addressOf(name, isAddressQuery) {
  const all = names[name];
  const turn = turns.get(name) ?? 0;
  if (isAddressQuery) turns.set(name, turn + 1);
  return all?.[turn % all.length];
}

function resolve(query) {
  return dnsAnswer(query, addressOf, 0);
}

createInterface(process.stdin)
  .on('line', () => {
    process.stdout.write(`${JSON.stringify(seen)}\n`);
    seen = [];
  })
  .on('close', () => process.exit(0));
process.stdout.write('ready\n');
