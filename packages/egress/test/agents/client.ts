import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { serveCalls } from './rpc.ts';

/** A program in a sandbox. What it sees of one connection: what came, and how it ended. */
export interface Seen {
  text: string;
  end: 'ended' | 'reset' | 'open';
}

export interface Talk {
  /** Base64, one after the other with a pause. */
  sends?: string[];
  pauseMs?: number;
  /** Closes its half behind what it has sent. */
  halfClose?: boolean;
  /** Sends the next piece only when so much has come in answer to the last one. */
  afterText?: string;
  /** Is content when this has come. */
  until?: string;
  ms?: number;
  /** One of the addresses of this namespace, each of which is a sandbox. */
  from?: string;
}

const open = new Map<number, { seen: Seen; socket: ReturnType<typeof connect> }>();
let nextId = 0;

async function talk(host: string, port: number, how: Talk): Promise<Seen> {
  const id = hold(host, port, how.from);
  const { seen, socket } = open.get(id) as NonNullable<ReturnType<typeof open.get>>;
  const { sends = [], pauseMs = 0, halfClose = false, afterText, until, ms = 8_000 } = how;
  const isOver = () => seen.end !== 'open' || (until !== undefined && seen.text.includes(until));
  const deadline = Date.now() + ms;
  for (const [i, piece] of sends.entries()) {
    socket.write(Buffer.from(piece, 'base64'));
    if (pauseMs > 0) await pause(pauseMs);
    while (afterText && i === 0 && !seen.text.includes(afterText) && seen.end === 'open') {
      if (Date.now() > deadline) break;
      await pause(5);
    }
  }
  if (halfClose) socket.end();
  while (!isOver() && Date.now() < deadline) await pause(5);
  socket.destroy();
  open.delete(id);
  return seen;
}

/** Opens a connection and leaves it open. */
function hold(host: string, port: number, from?: string): number {
  const seen: Seen = { text: '', end: 'open' };
  const local = from === undefined ? {} : { localAddress: from };
  const socket = connect({ host, port, allowHalfOpen: true, noDelay: true, ...local });
  socket.on('data', (piece: Buffer) => {
    seen.text += piece.toString('latin1');
  });
  socket.on('end', () => {
    seen.end = 'ended';
  });
  socket.on('error', () => {
    seen.end = 'reset';
  });
  const id = nextId++;
  open.set(id, { seen, socket });
  return id;
}

function tls(host: string, servername: string | undefined, ms = 8_000): Promise<Seen> {
  return new Promise((resolve) => {
    const seen: Seen = { text: '', end: 'open' };
    const names = servername === undefined ? {} : { servername };
    const socket = connectTls({ host, port: 443, rejectUnauthorized: false, ...names });
    const finish = (end: Seen['end']) => {
      clearTimeout(timer);
      seen.end = end;
      socket.destroy();
      resolve(seen);
    };
    const timer = setTimeout(() => finish('open'), ms);
    socket.on('data', (piece: Buffer) => {
      seen.text += piece.toString();
    });
    socket.on('end', () => finish('ended')).on('error', () => finish('reset'));
  });
}

/** How much a server took of so many bytes, sent with regard to how fast it takes them. */
function upload(host: string, port: number, mebibytes: number, from?: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const local = from === undefined ? {} : { localAddress: from };
    const socket = connect({ host, port, allowHalfOpen: true, ...local });
    const piece = Buffer.alloc(1024 * 1024, 'x');
    const send = (left: number): void => {
      if (left === 0) socket.end();
      else socket.write(piece, () => send(left - 1));
    };
    socket.on('connect', () => send(mebibytes));
    socket.on('data', (bytes: Buffer) => {
      answer += bytes.toString();
    });
    socket.on('end', () => resolve(answer)).on('error', (error) => resolve(String(error)));
  });
}

/** How long connections take from their begin to what the server says first, ms each, so many at once for some time. */
async function greetings(
  host: string,
  port: number,
  from: string,
  atOnce: number,
  ms: number,
): Promise<number[]> {
  const took: number[] = [];
  const end = performance.now() + ms;
  const work = async () => {
    while (performance.now() < end) {
      const begin = performance.now();
      await new Promise<void>((resolve, reject) => {
        const socket = connect({ host, port, localAddress: from });
        socket.once('data', () => socket.resetAndDestroy()).once('close', () => resolve());
        socket.once('error', reject);
      });
      took.push(performance.now() - begin);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return took;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

serveCalls({
  talk,
  tls,
  upload,
  greetings,
  hold,
  holdMany: (host: string, port: number, count: number, from: string) =>
    Array.from({ length: count }, () => hold(host, port, from)),
  seen: (id: number) => open.get(id)?.seen,
  countOf: (ids: number[], end: Seen['end']) => ids.filter((id) => open.get(id)?.seen.end === end).length,
  sendBytes: (id: number, base64: string) => void open.get(id)?.socket.write(Buffer.from(base64, 'base64')),
  drop: (ids: number[]) => {
    for (const id of ids) open.get(id)?.socket.destroy();
  },
});
