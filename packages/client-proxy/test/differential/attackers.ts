import { connect } from 'node:net';
import { END_HEADERS, END_STREAM, Frame, frame, settings } from '../frames.ts';
import { literalFields } from './hpack.ts';
import type { StreamToSend } from './http2-streams.ts';

const DATA = 0;
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
/** A connection on which nothing has come for so long has said all it will, ms. Nothing is judged by it. */
const QUIET_MS = 2_000;

/**
 * Sends bytes on a connection of HTTP/1.1, and behind them an ordinary request that ends the connection, unless it is taken for a part of
 * what came before; waits until the edge has nothing more to say.
 */
export function sendHttp1(port: number, bytes: Buffer, host: string): Promise<void> {
  const last = `GET /last HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const quiet = setTimeout(() => socket.destroy(), QUIET_MS);
    socket.on('error', () => {});
    socket.on('data', () => quiet.refresh());
    socket.on('close', () => {
      clearTimeout(quiet);
      resolve();
    });
    socket.write(Buffer.concat([bytes, Buffer.from(last)]));
  });
}

/** Sends a stream on a connection of its own, frame by frame, and waits until it has been answered or refused. */
export function sendHttp2(port: number, { head, data, trailers }: StreamToSend): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const giveUp = setTimeout(() => socket.destroy(), QUIET_MS);
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(giveUp);
      resolve();
    });
    let pending = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      pending = Buffer.concat([pending, chunk]);
      while (pending.length >= 9) {
        const end = 9 + pending.readUIntBE(0, 3);
        if (pending.length < end) return;
        const [type = 0, flags = 0] = [pending[3], pending[4]];
        const isOver = (type === DATA || type === Frame.headers) && (flags & END_STREAM) !== 0;
        if (isOver || type === Frame.reset || type === Frame.goAway) socket.destroy();
        pending = pending.subarray(end);
      }
    });
    const isLast = (index: number) =>
      index === data.length + (trailers.length > 0 ? 1 : 0) ? END_STREAM : 0;
    const frames = [
      frame(Frame.headers, END_HEADERS | isLast(0), 1, literalFields(head)),
      ...data.map((text, i) => frame(DATA, isLast(i + 1), 1, Buffer.from(text, 'latin1'))),
    ];
    if (trailers.length > 0)
      frames.push(frame(Frame.headers, END_HEADERS | END_STREAM, 1, literalFields(trailers)));
    socket.write(Buffer.concat([Buffer.from(PREFACE), settings(65_535), ...frames]));
  });
}
