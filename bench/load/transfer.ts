import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type { Goal } from './goal.ts';

const BLOCK = Buffer.alloc(256 * 1024, 'y');

export interface Upload {
  method: 'POST' | 'PUT';
  path: string;
  /** Bytes of the body. */
  size: number;
  headers?: Readonly<Record<string, string>>;
}

/** Bytes a second of one large body, downwards. @throws Error where another number of bytes came. */
export async function measureDownload(goal: Goal, path: string, size: number): Promise<number> {
  const startedAt = performance.now();
  const outgoing = request({ ...goal, path, agent: false });
  outgoing.end();
  const response = await answerOf(once(outgoing, 'response'));
  let received = 0;
  response.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  await once(response, 'end');
  const rate = (received * 1000) / (performance.now() - startedAt);
  if (received !== size) throw new Error(`got ${received} of ${size} bytes of ${path}`);
  return rate;
}

/** Bytes a second of one large body, upwards, until the server has answered. Gives what it answered, too. */
export async function measureUpload(goal: Goal, upload: Upload): Promise<{ rate: number; answer: string }> {
  const { method, path, size, headers = {} } = upload;
  const startedAt = performance.now();
  const outgoing = request({
    ...goal,
    method,
    path,
    headers: { ...goal.headers, ...headers, 'Content-Length': size },
    agent: false,
  });
  const answered = answerOf(once(outgoing, 'response'));
  for (let left = size; left > 0; left -= BLOCK.length) {
    const block = left >= BLOCK.length ? BLOCK : BLOCK.subarray(0, left);
    // An early refusal ends the upload: nobody would drain it.
    if (!outgoing.write(block)) await Promise.race([once(outgoing, 'drain'), answered]);
  }
  outgoing.end();
  const answer = await text(await answered);
  return { rate: (size * 1000) / (performance.now() - startedAt), answer };
}

async function answerOf(response: Promise<IncomingMessage[]>): Promise<IncomingMessage> {
  const [incoming] = await response;
  if (incoming?.statusCode === 200) return incoming;
  throw new Error(`answered ${incoming?.statusCode}: ${incoming ? await text(incoming) : ''}`);
}

async function text(incoming: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of incoming.setEncoding('utf8')) body += chunk;
  return body;
}
