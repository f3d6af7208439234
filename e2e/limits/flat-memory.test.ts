import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, inject, it } from 'vitest';
import { sharedSandbox } from '../sdk/sandbox.ts';
import { startServer } from '../sdk/server.ts';
import { VIRTUAL_MACHINES } from '../setup/isolation.ts';

const MIB = 1024 * 1024;
const SIZE = 512 * MIB;
/** An eighth of what passes: all of it would be kept, or next to none. */
const MAY_GROW = SIZE / 8;
const PORT = 3_000;

const { pid } = inject('islet');
const sandbox = sharedSandbox();
beforeAll(() => startServer(sandbox.current, { port: PORT }));

const url = (path: string) => `http://${sandbox.current.getHost(PORT)}${path}`;

/** By how much Islet's memory was larger at its peak than before, bytes. */
async function growth(work: () => Promise<void>): Promise<number> {
  const kilobytes = async (field: string) => {
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]);
  };
  // The peak begins anew.
  await writeFile(`/proc/${pid}/clear_refs`, '5');
  const before = await kilobytes('VmRSS');
  await work();
  return ((await kilobytes('VmHWM')) - before) * 1024;
}

it.skipIf(VIRTUAL_MACHINES)('takes no more memory for half a gigabyte that comes down', async () => {
  const took = await growth(async () => {
    const answer = await fetch(url(`/download?${SIZE}`));
    const hash = createHash('sha256');
    let size = 0;
    for await (const chunk of answer.body as ReadableStream<Uint8Array>) {
      hash.update(chunk);
      size += chunk.length;
    }
    expect(size).toBe(SIZE);
    expect(await (await fetch(url('/downloaded'))).json()).toEqual({ sha256: hash.digest('hex') });
  });
  expect(took).toBeLessThan(MAY_GROW);
});

it.skipIf(VIRTUAL_MACHINES)('takes no more memory for half a gigabyte that goes up', async () => {
  const block = randomBytes(MIB);
  const hash = createHash('sha256');
  const blocks = function* () {
    for (let sent = 0; sent < SIZE; sent += MIB) {
      hash.update(block);
      yield block;
    }
  };
  const took = await growth(async () => {
    const body = Readable.toWeb(Readable.from(blocks())) as ReadableStream;
    const answer = await fetch(url('/upload'), { method: 'POST', body, duplex: 'half' } as RequestInit);
    expect(await answer.json()).toEqual({ size: SIZE, sha256: hash.digest('hex') });
  });
  expect(took).toBeLessThan(MAY_GROW);
});

it('takes no more memory for half a gigabyte that a client does not read', async () => {
  const took = await growth(async () => {
    const request = get(url(`/download?${SIZE}`));
    request.on('error', () => {});
    const isPaused = new Promise<void>((resolve) =>
      request.once('response', (response) => {
        response.pause();
        resolve();
      }),
    );
    await isPaused;
    await sleep(5_000);
    request.destroy();
  });
  expect(took).toBeLessThan(MAY_GROW);
});
