import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Share } from '../fairness/turns.ts';
import { onceReadOut } from '../upstream/read-out.ts';
import { resetAtOnce } from '../upstream/reset.ts';
import type { Closable } from '../upstream/run.ts';
import { MAX_BACKLOG_BYTES } from './downstream.ts';
import { endInOrder } from './orderly-end.ts';

/** Two sockets whose bytes go to each other until either ends. */
export class Tunnel implements Closable {
  readonly #client: Duplex;
  readonly #upstream: Socket;

  constructor(client: Duplex, upstream: Socket, share: Share, onClosed: () => void) {
    this.#client = client;
    this.#upstream = upstream;
    let open = 2;
    const join = (from: Duplex, to: Duplex, end: () => void) => {
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
      from.on('close', () => {
        open--;
        if (open === 0) onClosed();
        else end();
      });
      to.on('drain', () => {
        full = false;
        flow();
      });
    };
    // What breaks one end ends the other; the error itself concerns neither.
    for (const end of [client, upstream]) end.on('error', () => {});
    join(client, upstream, () => {
      if (!upstream.writableEnded) upstream.destroy();
    });
    join(upstream, client, () => endInOrder(client));
    client.resume();
    upstream.resume();
  }

  close(): void {
    resetAtOnce(this.#upstream);
    endInOrder(this.#client);
  }

  finish(_reason: Error, limitMs: number): void {
    const end = () => this.close();
    const timer = setTimeout(end, limitMs).unref();
    this.#upstream.once('close', () => clearTimeout(timer));
    onceReadOut(this.#upstream, end);
  }
}
