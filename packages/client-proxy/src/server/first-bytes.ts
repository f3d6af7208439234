import type { Socket } from 'node:net';

export type ClientProtocol = 'tls' | 'http1' | 'http2';

/** The first byte of a TLS handshake record; no HTTP request begins with it. */
const TLS_HANDSHAKE = 0x16;
/** How the preface of HTTP/2 begins (RFC 9113 §3.4), up to where it differs from each method of HTTP/1.1. */
const PREFACE = Buffer.from('PRI * HTTP/2');

/** What a client speaks, by the bytes that it began with; undefined: they may still become either. */
export function protocolOf(bytes: Buffer): ClientProtocol | undefined {
  if (bytes[0] === TLS_HANDSHAKE) return 'tls';
  const known = Math.min(bytes.length, PREFACE.length);
  if (!bytes.subarray(0, known).equals(PREFACE.subarray(0, known))) return 'http1';
  return known === PREFACE.length ? 'http2' : undefined;
}

/** Finds out what a client speaks, without taking its bytes. Ends its connection if that takes longer than `timeoutMs`. */
export function onceKnown(socket: Socket, timeoutMs: number, then: (protocol: ClientProtocol) => void): void {
  let seen: Buffer = Buffer.alloc(0);
  const giveUp = () => socket.destroy();
  const timer = setTimeout(giveUp, timeoutMs).unref();
  const read = (): void => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const protocol = protocolOf(seen);
    if (protocol === undefined) return;
    clearTimeout(timer);
    socket.off('readable', read);
    socket.off('error', giveUp);
    socket.off('end', giveUp);
    socket.off('close', stop);
    socket.unshift(seen);
    then(protocol);
  };
  const stop = () => clearTimeout(timer);
  socket.on('error', giveUp);
  socket.on('end', giveUp);
  socket.on('close', stop);
  socket.on('readable', read);
}
