import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { ServerNotification } from '@modelcontextprotocol/sdk/types.js';
import { Directory } from './directory.ts';
import { createFront } from './front.ts';
import type { ServerCommand } from './servers/server.ts';
import { createSession } from './session.ts';
import { Sessions } from './sessions.ts';
import { Upstream } from './upstream.ts';

export interface GatewayOptions {
  servers: readonly ServerCommand[];
  /** What clients have to bear. */
  token: string;
  host: string;
  /** 0 takes a free one. */
  port: number;
  /** Gets what the servers write to stderr. */
  log(chunk: Buffer): void;
}

export interface Gateway extends AsyncDisposable {
  port: number;
}

/**
 * Starts the servers, and answers for all of them when each has said hello.
 * @throws GatewayError if a server does not start.
 */
export async function startGateway({ servers, token, host, port, log }: GatewayOptions): Promise<Gateway> {
  let sessions: Sessions | undefined;
  const notification = (what: ServerNotification) => {
    if (what.method.endsWith('/list_changed')) directory.forget();
    sessions?.tell(what);
  };
  const events = { log, notification, ended: () => directory.forget() };
  const upstreams = servers.map((server) => new Upstream(server, events));
  const directory = new Directory(upstreams);
  const closeServers = async () => {
    await Promise.all(upstreams.map((upstream) => upstream.close()));
  };
  try {
    await Promise.all(upstreams.map((upstream) => upstream.client()));
    const [capabilities, instructions] = [await directory.capabilities(), await directory.instructions()];
    sessions = new Sessions(() => createSession(directory, { capabilities, instructions }));
    const front = createFront(sessions, token);
    front.listen(port, host);
    await once(front, 'listening');
    const opened = sessions;
    return {
      port: (front.address() as AddressInfo).port,
      async [Symbol.asyncDispose]() {
        front.close();
        await opened.close();
        front.closeAllConnections();
        await closeServers();
      },
    };
  } catch (error) {
    await closeServers();
    throw error;
  }
}
