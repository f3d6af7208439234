// What any server needs to ask a sandbox: a process of Node's that passes each request on to a port of it, and does
// nothing else. It shares the machine with the abuse as Islet does, and nothing of Islet's. Arguments: the sandbox's
// address, and a folder for records.
import { randomBytes } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

const [, , host = '', folder = ''] = process.argv;
const agent = new Agent({ keepAlive: true });
const PORT_HEADER = 'e2b-sandbox-port';
const ENVD_PORT = 49_983;

function passOn(from: IncomingMessage, to: ServerResponse): void {
  const { method, url, headers } = from;
  const port = Number(headers[PORT_HEADER] ?? ENVD_PORT);
  const passed = request({ host, port, method, path: url, headers, agent }, (answer) => {
    const { connection, 'keep-alive': keepAlive, ...kept } = answer.headers;
    to.writeHead(answer.statusCode ?? 502, kept);
    answer.pipe(to);
  });
  passed.on('error', () => to.destroy());
  to.on('close', () => passed.destroy());
  from.pipe(passed);
}

/** What a create waits for at the least: a sandbox's daemon, and a file that takes another's place. */
async function record(): Promise<void> {
  const asked = new Promise<void>((resolve, reject) => {
    const answered = (answer: IncomingMessage) => answer.resume().on('end', resolve);
    request({ host, port: ENVD_PORT, path: '/health', agent }, answered).on('error', reject).end();
  });
  const file = join(folder, randomBytes(4).toString('hex'));
  await Promise.all([asked, writeFile(file, '{}')]);
  await rename(file, join(folder, 'record'));
}

const server = createServer((from, to) => {
  if (from.url !== '/record') passOn(from, to);
  else
    record().then(
      () => to.writeHead(201).end(),
      () => to.destroy(),
    );
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
process.stdin.resume().on('end', () => process.exit());
