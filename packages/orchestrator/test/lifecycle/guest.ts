import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { PORTS } from '@islet/contracts';

/** What a machine holds, and a saved state of it keeps. */
export interface Contents {
  /** Who it is; undefined: nobody yet. */
  sandboxId?: string | undefined;
  accessToken?: string | undefined;
  /** What a client wrote to a file, and what a program holds in memory only. */
  file: string;
  memory: string;
}

/** How a daemon answers a question: as it should, or else. */
export type Manner = 'well' | 'hangs' | 'refuses' | 'resets' | 'lies';

/** More than any answer of a daemon may take. */
const LIE = 'x'.repeat(100_000);

/** The inside of a simulated machine: a daemon that answers what Islet asks envd, on an address of its own. */
export class Guest {
  readonly contents: Contents;
  readonly #manner: (path: string) => Manner;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #goesOn: Promise<void> | undefined;
  #goOn = () => {};

  private constructor(contents: Contents, manner: (path: string) => Manner) {
    this.contents = contents;
    this.#manner = manner;
    this.#server = createServer(
      (request, response) => void this.#answer(request, response).catch(() => undefined),
    );
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  /** @param manner of each answer, by the path that is asked for */
  static async start(address: string, contents: Contents, manner: (path: string) => Manner): Promise<Guest> {
    const guest = new Guest(contents, manner);
    await new Promise<void>((resolve, reject) => {
      guest.#server.once('error', reject);
      guest.#server.listen(PORTS.envd, address, resolve);
    });
    return guest;
  }

  /** It runs no instruction until `thaw`: what it is asked meanwhile it answers then. */
  freeze(): void {
    this.#goesOn ??= new Promise((resolve) => {
      this.#goOn = resolve;
    });
  }

  thaw(): void {
    this.#goesOn = undefined;
    this.#goOn();
  }

  /** It is gone at once, and its connections with it. */
  end(): void {
    this.#server.close();
    this.cut();
  }

  /** Resets all its connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '').split('?')[0] ?? '';
    const body = await text(request);
    await this.#goesOn;
    const manner = this.#manner(path);
    if (manner === 'hangs') return;
    if (manner === 'resets') return void request.socket.resetAndDestroy();
    if (manner === 'refuses') return void response.writeHead(500).end('{"message":"not now"}');
    if (manner === 'lies') return void response.writeHead(204 + 1).end(LIE);
    if (path !== '/health' && !this.#isKnown(request, path, body))
      return void response.writeHead(401).end('{"message":"unauthorized"}');
    switch (path) {
      case '/health':
        return void response.writeHead(204).end();
      case '/init': {
        this.#become(JSON.parse(body));
        return void response.writeHead(204, { 'x-clock': String(Date.now()) }).end();
      }
      case '/unfreeze':
        return void response.writeHead(204).end();
      case '/volumes/removed':
        return void response.writeHead(200).end('[]');
      case '/journal':
        return void response.writeHead(200).flushHeaders();
      default:
        return void response.writeHead(404).end();
    }
  }

  /** As envd: who asks has its token, or gives it the one that it has already, since an answer may have been lost. */
  #isKnown(request: IncomingMessage, path: string, body: string): boolean {
    const { accessToken } = this.contents;
    if (accessToken === undefined || request.headers['x-access-token'] === accessToken) return true;
    return path === '/init' && JSON.parse(body).accessToken === accessToken;
  }

  #become(init: { sandboxId?: string; accessToken?: string; reboot?: boolean }): void {
    this.contents.sandboxId = init.sandboxId;
    this.contents.accessToken = init.accessToken;
    if (init.reboot) this.contents.memory = '';
  }
}
