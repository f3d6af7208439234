import type { IncomingMessage } from 'node:http';
import { bodyTooLarge, undecodableBody } from '@islet/contracts';

/** Reads a small JSON body; an empty one is an empty object. @throws IsletError 400, 413 */
export async function readJsonBody(request: IncomingMessage, maxBytes: number): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    length += (chunk as Buffer).length;
    if (length > maxBytes) throw bodyTooLarge(maxBytes);
    chunks.push(chunk as Buffer);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  if (text.trim() === '') return {};
  try {
    return JSON.parse(text);
  } catch (error) {
    throw undecodableBody(error as Error);
  }
}
