import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** What a misbehaving client does. */
export interface StrangerOrder {
  /**
   * On each connection: `ask` again and again, `pipeline` requests without reading, `stall` the answer, `hold` a head
   * that is never ended, `trickle` a body of one-byte chunks, `frames` of one byte after an upgrade, or a TLS
   * `handshake` and the next.
   */
  kind: 'ask' | 'pipeline' | 'stall' | 'hold' | 'trickle' | 'frames' | 'handshake';
  host: string;
  port: number;
  connections: number;
  path?: string;
  headers?: Readonly<Record<string, string>>;
}

const PROGRAM = join(import.meta.dirname, 'stranger.ts');

/** Lets a misbehaving client loose, with what is left of the processor. Resolves when it has begun, with its end. */
export async function letLoose(order: StrangerOrder): Promise<() => Promise<void>> {
  const args = ['-n', '10', process.execPath, '--import', 'tsx', PROGRAM, JSON.stringify(order)];
  const child = spawn('nice', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  await Promise.race([once(child.stdout, 'data'), ended]);
  return async () => {
    child.kill('SIGKILL');
    await ended;
  };
}
