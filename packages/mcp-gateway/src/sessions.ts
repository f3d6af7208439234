import { randomUUID } from 'node:crypto';
import type { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type { ServerNotification } from '@modelcontextprotocol/sdk/types.js';

/** Clients that never say good-bye must not add up: the one longest not heard makes room. */
const MOST_SESSIONS = 64;

interface Session {
  server: Server;
  transport: StreamableHTTPServerTransport;
}

/** The sessions of all clients, by the id that their requests bear. */
export class Sessions {
  readonly #create: () => Server;
  readonly #most: number;
  /** The one that was heard last is last. */
  readonly #sessions = new Map<string, Session>();

  constructor(create: () => Server, most = MOST_SESSIONS) {
    this.#create = create;
    this.#most = most;
  }

  get size(): number {
    return this.#sessions.size;
  }

  find(id: string): StreamableHTTPServerTransport | undefined {
    const session = this.#sessions.get(id);
    if (!session) return undefined;
    this.#sessions.delete(id);
    this.#sessions.set(id, session);
    return session.transport;
  }

  /** A transport for a request that begins a session; what is no such request, it refuses by itself. */
  async open(): Promise<StreamableHTTPServerTransport> {
    const server = this.#create();
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => {
        this.#sessions.set(id, { server, transport });
        this.#makeRoom();
      },
    });
    server.onclose = () => {
      if (transport.sessionId !== undefined) this.#sessions.delete(transport.sessionId);
    };
    await server.connect(transport);
    return transport;
  }

  /** Tells every client; who cannot be told has gone. */
  tell(notification: ServerNotification): void {
    for (const { server } of this.#sessions.values()) {
      const told =
        notification.method === 'notifications/message'
          ? server.sendLoggingMessage(notification.params)
          : server.notification(notification);
      told.catch(() => undefined);
    }
  }

  #makeRoom(): void {
    for (const [id, { server }] of this.#sessions) {
      if (this.#sessions.size <= this.#most) return;
      this.#sessions.delete(id);
      server.close().catch(() => undefined);
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sessions.values()].map(({ server }) => server.close()));
  }
}
