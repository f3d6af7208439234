import { readdirSync, readlinkSync, realpathSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BroadcastChannel } from 'node:worker_threads';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { VolumeServerThread } from './thread.ts';

const CHANNEL = 'islet-volume-server-test';

/** Does what it is asked in name only, tells of it, and ends when it is to hold. The real one is tested in machines. */
const PROGRAM = `
import { openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { BroadcastChannel, parentPort } from 'node:worker_threads';
openSync(fileURLToPath(import.meta.url));
const told = new BroadcastChannel('${CHANNEL}');
parentPort.on('message', ({ id, method, args }) => {
  told.postMessage(JSON.stringify([method, ...args]));
  if (method === 'hold') setImmediate(() => process.exit(1));
  else parentPort.postMessage({ id });
});
`;

let dir: string;
let told: string[];
let channel: BroadcastChannel;
let thread: VolumeServerThread;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-thread-'));
  await writeFile(join(dir, 'program.mjs'), PROGRAM);
  told = [];
  channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = (event) => void told.push((event as { data: string }).data);
  const logger = createLogger({ service: 'test', level: 'silent' });
  const program = join(dir, 'program.mjs');
  thread = new VolumeServerThread({ program, address: '127.0.0.1', port: 2049, logger });
});
afterEach(async () => {
  await thread.close();
  channel.close();
  await rm(dir, { recursive: true });
});

it('begins anew if it has ended, with what it served', async () => {
  const machine = { id: 'm1', netns: 'n1' };
  const [one, two] = ['one', 'two'].map((volumeId) => ({ volumeId, dir: `/${volumeId}` }));
  if (!one || !two) throw new Error('unreachable');
  await thread.serve(machine, [one]);
  await thread.serve(machine, [two]);
  await thread.serve({ id: 'gone', netns: 'n2' }, [one]);
  await thread.stop('gone');
  await expect(thread.hold('m1')).rejects.toThrow('the server of volumes has ended');
  // Until it is back, nothing is waited for that it will never answer.
  await expect(thread.hold('m1')).rejects.toThrow('the server of volumes has ended');
  await thread.release('m1');
  await thread.serve({ id: 'short', netns: 'n3' }, [one]);
  await thread.stop('short');
  const again = JSON.stringify(['serve', machine, [one, two]]);
  await expect.poll(() => told.filter((request) => request === again)).toHaveLength(1);
  // What the first one had open of a volume would keep it mounted.
  const open = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return undefined; // the one of this listing
    }
  });
  expect(open.filter((path) => path === join(realpathSync(dir), 'program.mjs'))).toHaveLength(1);
  await thread.stop('m1');
  expect(told.filter((request) => request.includes('short'))).toEqual([]);
  expect(told.filter((request) => request.includes('gone'))).toHaveLength(2);
});
