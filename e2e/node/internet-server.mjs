// A small internet for sandboxes: says hello over HTTP, speaks first on another port, echoes datagrams, resolves names.
// It runs in a network namespace of its own. Arguments: addresses to serve on, comma-separated; those of them that are
// resolvers; names as JSON, from name to address. It prints "ready" and ends with its stdin.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { dnsAnswer } from '../setup/dns-answer.mjs';

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
  resolver.on('message', (query, { address: from, port }) =>
    resolver.send(
      dnsAnswer(query, (name) => known.get(name), 1),
      port,
      from,
    ),
  );
  resolver.bind(53, address);
  await once(resolver, 'listening');
}

process.stdin.resume().on('end', () => process.exit(0));
process.stdout.write('ready\n');
