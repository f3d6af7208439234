import type { Socket } from 'node:net';
import { Client, DatabaseError, type Pool, type PoolClient } from 'pg';

/** After so long without a byte of an answer the server is asked whether it is there, ms. */
const SILENCE_MS = 5_000;
/** Longest wait for that to be answered, ms. */
const PROBE_MS = 5_000;

/**
 * Breaks connections off on which somebody waits for a server that hangs: its machine is gone, or it stands still. A server that is
 * only slow with a query answers on another connection, and ends what takes too long by itself.
 */
export function breakOffIfHung(pool: Pool, url: string): void {
  let probe: Promise<boolean> | undefined;
  const listened = new WeakSet<Socket>();
  const look = async (socket: Socket) => {
    probe ??= answers(url).finally(() => {
      probe = undefined;
    });
    if (await probe) return;
    // It was given back meanwhile, or something came.
    if (socket.timeout !== SILENCE_MS) return;
    socket.destroy(Object.assign(new Error('the database server does not answer'), { code: 'ETIMEDOUT' }));
  };
  pool.on('acquire', (client) => {
    const socket = socketOf(client);
    if (!listened.has(socket)) {
      listened.add(socket);
      socket.on('timeout', () => {
        // Each look is followed by the next.
        if (socket.timeout) socket.setTimeout(SILENCE_MS);
        void look(socket);
      });
    }
    socket.setTimeout(SILENCE_MS);
  });
  pool.on('release', (_error, client) => {
    socketOf(client).setTimeout(0);
  });
}

/** Whether a server answers on a connection of its own. */
async function answers(url: string): Promise<boolean> {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: PROBE_MS,
    query_timeout: PROBE_MS,
    application_name: 'islet',
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch (error) {
    // It refuses, and so it is there.
    return error instanceof DatabaseError;
  } finally {
    // A server that hangs does not answer this either.
    void client.end().catch(() => undefined);
    socketOf(client).destroySoon();
  }
}

/** The types of `pg` do not have it, and its own pool uses it. */
function socketOf(client: Client | PoolClient): Socket {
  return (client as unknown as { connection: { stream: Socket } }).connection.stream;
}
