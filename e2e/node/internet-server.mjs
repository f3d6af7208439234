// A small internet for sandboxes: says hello over HTTP, speaks first on another port, echoes datagrams, resolves names.
// It runs in a network namespace of its own. Arguments: addresses to serve on, comma-separated; those of them that are
// resolvers; names as JSON, from name to address. It prints "ready" and ends with its stdin.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';

const [addresses, resolvers, names] = process.argv.slice(2);
const known = new Map(Object.entries(JSON.parse(names)));
/** Every datagram that arrived, for tests that expect one not to. */
const seen = [];

for (const address of addresses.split(',')) {
  const http = createHttpServer((request, response) => {
    if (request.url === '/seen') return response.end(JSON.stringify(seen));
    response.end(`hello from ${address} to ${request.socket.remoteAddress}`);
  });
  http.listen(80, address);
  const greeter = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.end(`greetings from ${address}\n`);
  });
  greeter.listen(7000, address);
  const echo = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  echo.on('message', (message, { address: from, port }) => {
    seen.push({ text: message.toString('latin1'), from, to: address });
    echo.send(`echo from ${address}`, port, from);
  });
  echo.bind(7001, address);
  await Promise.all([once(http, 'listening'), once(greeter, 'listening'), once(echo, 'listening')]);
}

for (const address of resolvers.split(',')) {
  const resolver = createSocket('udp4');
  resolver.on('message', (query, { address: from, port }) => resolver.send(answer(query), port, from));
  resolver.bind(53, address);
  await once(resolver, 'listening');
}

/** The answer to a DNS query with one question: an A record, nothing for other types, or no such name. */
function answer(query) {
  const labels = [];
  let end = 12;
  while (query[end] !== 0) {
    const length = query[end];
    labels.push(query.toString('latin1', end + 1, end + 1 + length));
    end += length + 1;
  }
  const question = query.subarray(12, end + 5);
  const isAddressQuery = query.readUInt16BE(end + 1) === 1;
  const address = known.get(labels.join('.').toLowerCase());
  const header = Buffer.from(query.subarray(0, 12));
  header.writeUInt16BE(address ? 0x8580 : 0x8583, 2);
  header.fill(0, 4);
  header.writeUInt16BE(1, 4);
  if (!address || !isAddressQuery) return Buffer.concat([header, question]);
  header.writeUInt16BE(1, 6);
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, ...address.split('.').map(Number)]);
  return Buffer.concat([header, question, record]);
}

process.stdin.resume().on('end', () => process.exit(0));
process.stdout.write('ready\n');
