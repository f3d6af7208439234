/** One event of a process stream, as JSON. */
export type ProcessEvent = Record<string, unknown>;

/** Runs Start over plain HTTP, message by message. */
export async function startProcess(
  url: string,
  request: object,
  headers: Record<string, string> = {},
): Promise<{ events: ProcessEvent[]; error: unknown }> {
  const response = await fetch(`${url}/process.Process/Start`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/connect+json', ...headers },
    body: envelope(request),
  });
  if (response.status !== 200) throw new Error(`a stream answers 200, not ${response.status}`);
  const bytes = Buffer.from(await response.arrayBuffer());
  const events: ProcessEvent[] = [];
  let error: unknown;
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at + 1);
    const message = JSON.parse(bytes.toString('utf8', at + 5, at + 5 + length));
    if (bytes[at] === 2) error = message.error;
    else events.push(message.event);
    at += 5 + length;
  }
  return { events, error };
}

/** A Connect stream's message. */
export function envelope(message: object): Uint8Array<ArrayBuffer> {
  const text = Buffer.from(JSON.stringify(message));
  const bytes = new Uint8Array(5 + text.length);
  new DataView(bytes.buffer).setUint32(1, text.length);
  bytes.set(text, 5);
  return bytes;
}

/** All of one output. */
export function outputOf(events: ProcessEvent[], kind: 'stdout' | 'stderr'): string {
  const chunks = events.flatMap((event) => (event.data as Record<string, string> | undefined)?.[kind] ?? []);
  return Buffer.concat(chunks.map((chunk) => Buffer.from(chunk, 'base64'))).toString();
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
