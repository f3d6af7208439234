import { type IncomingMessage, request as requestHttp1 } from 'node:http';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Destination } from './destination.ts';
import { http1Headers, type Outgoing } from './exchange.ts';
import { headersOf } from './request.ts';

/** Sends a request for another protocol, and is in nobody's way once both sides speak it. @throws Error if it breaks off */
export async function upgrade(
  { request, client, head }: { request: IncomingMessage; client: Duplex; head: Buffer },
  outgoing: Outgoing,
  destination: Destination,
): Promise<void> {
  const socket = await destination.http1();
  const gone = () => socket.destroy();
  client.once('close', gone);
  const sent = requestHttp1({
    createConnection: () => socket,
    ...{ method: outgoing.method, path: outgoing.path, setHost: false },
    headers: [
      ...http1Headers(outgoing),
      ...['Connection', 'Upgrade', 'Upgrade', request.headers.upgrade ?? ''],
    ] as never,
  });
  sent.on('error', () => undefined);
  sent.end();
  const answer = await new Promise<{ answer: IncomingMessage; rest?: Buffer }>((resolve, reject) => {
    sent.once('upgrade', (answer, _, rest) => resolve({ answer, rest }));
    sent.once('response', (answer) => resolve({ answer }));
    sent.once('error', reject);
  });
  client.write(headOf(answer.answer, answer.rest !== undefined));
  if (answer.rest === undefined) {
    await pipeline(answer.answer, client);
    return;
  }
  if (answer.rest.length > 0) client.write(answer.rest);
  if (head.length > 0) socket.write(head);
  await Promise.all([pipeline(client, socket), pipeline(socket, client)]);
}

/** What does not become another protocol ends with its body. */
function headOf(answer: IncomingMessage, isUpgraded: boolean): string {
  const headers = headersOf(answer.rawHeaders);
  const ofConnection = isUpgraded
    ? [`Connection: Upgrade`, `Upgrade: ${answer.headers.upgrade ?? ''}`]
    : ['Connection: close'];
  return [
    `HTTP/1.1 ${answer.statusCode} ${answer.statusMessage ?? ''}`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
    ...ofConnection,
    ...['', ''],
  ].join('\r\n');
}
