import { createServer, Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import { Channel } from './control/channel.ts';
import { type FromGateway, type ToGateway, toGatewayMessage } from './control/messages.ts';
import { ReachableAddresses } from './dial/addresses.ts';
import { Dialer, HELD_BYTES, KEEP_ALIVE_MS } from './dial/dialer.ts';
import { Names } from './dial/names.ts';
import { AskedCredentials } from './process/asked-credentials.ts';
import { CONTROL_DESCRIPTOR, LISTEN_DESCRIPTOR } from './process/descriptors.ts';
import { becomeUnprivileged } from './process/privileges.ts';
import { Gate } from './relay/gate.ts';
import { createTransform } from './transform/transform.ts';
import { VerdictTable } from './verdicts/verdict-table.ts';

/** The program of `EgressGateway`'s process. */
process.title = 'islet-egress';

const VERDICTS_MS = 1_000;
const ROWS_OF_MESSAGE = 500;
/** While the node does not take what it is told, verdicts are counted on rather than said. */
const MOST_WAITING_BYTES = 4 * 1024 * 1024;

// Node reads the authorities that the system's administrator added when they are first needed; its files may be root's alone.
createSecureContext();
becomeUnprivileged();

const control = new Socket({ fd: CONTROL_DESCRIPTOR, readable: true, writable: true });
const channel = new Channel<ToGateway, FromGateway>(control, {
  shape: toGatewayMessage,
  mostBytes: Number.POSITIVE_INFINITY,
  onMessage: (message) => carryOut(message),
  // Nobody says whose policies are in force any more.
  onEnd: () => process.exit(0),
});

const verdicts = new VerdictTable();
const credentials = new AskedCredentials((ask) => channel.send(ask));
let gate: Gate | undefined;
const server = createServer({
  ...{ allowHalfOpen: true, noDelay: true, pauseOnConnect: true, highWaterMark: HELD_BYTES },
  ...{ keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS },
});
server.on('connection', (client) => {
  if (gate) gate.accept(client);
  else client.destroy();
});
server.on('error', (error) => {
  fail(error);
  process.exit(1);
});

setInterval(tellVerdicts, VERDICTS_MS);

function carryOut(message: ToGateway): void {
  switch (message.type) {
    case 'start': {
      const dialer = new Dialer({
        names: new Names(message.nameservers),
        reachable: new ReachableAddresses(),
      });
      gate = new Gate({ dialer, verdicts, transform: createTransform(), credentials, onFailure: fail });
      return;
    }
    case 'answer':
      credentials.answer(message);
      return;
    case 'set':
      gate?.set(message.sandbox);
      break;
    case 'remove':
      gate?.remove(message.address);
      tellVerdicts();
      break;
    case 'listen':
      server.listen({ fd: LISTEN_DESCRIPTOR });
      break;
  }
  channel.send({ type: 'done', id: message.id });
}

function tellVerdicts(): void {
  if (channel.waitingBytes > MOST_WAITING_BYTES) return;
  const rows = verdicts.collect() as Extract<FromGateway, { type: 'verdicts' }>['batch'];
  for (let at = 0; at < rows.length; at += ROWS_OF_MESSAGE) {
    channel.send({ type: 'verdicts', batch: rows.slice(at, at + ROWS_OF_MESSAGE) });
  }
}

function fail(error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  channel.send({ type: 'failure', message: text.slice(0, 4000) });
}
