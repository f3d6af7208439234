import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Share } from '../fairness/turns.ts';
import type { Closable } from '../upstream/pool.ts';
import { MAX_BACKLOG_BYTES } from './downstream.ts';

/** Two sockets whose bytes go to each other until either ends. */
export class Tunnel implements Closable {
  readonly #client: Duplex;
  readonly #upstream: Socket;

  constructor(client: Duplex, upstream: Socket, share: Share, onClosed: () => void) {
    this.#client = client;
    this.#upstream = upstream;
    let open = 2;
    const join = (from: Duplex, to: Duplex) => {
      let full = false;
      let held = false;
      const flow = () => {
        if (!full && !held) from.resume();
      };
      from.on('data', (chunk: Buffer) => {
        share.run(() => {
          full = !to.write(chunk) && to.writableLength >= MAX_BACKLOG_BYTES;
        });
        held = share.isOver;
        if (full || held) from.pause();
        if (!held) return;
        share.enter(() => {
          held = false;
          flow();
        });
      });
      from.on('end', () => to.end());
      // What breaks one end ends the other; the error itself concerns neither.
      from.on('error', () => to.destroy());
      from.on('close', () => {
        open--;
        if (open === 0) onClosed();
        else if (!to.writableEnded) to.destroy();
      });
      to.on('drain', () => {
        full = false;
        flow();
      });
    };
    join(client, upstream);
    join(upstream, client);
    client.resume();
    upstream.resume();
  }

  close(): void {
    this.#upstream.destroy();
    if ('resetAndDestroy' in this.#client && !('encrypted' in this.#client)) {
      (this.#client as Socket).resetAndDestroy();
    } else {
      this.#client.destroy();
    }
  }
}
