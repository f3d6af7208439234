import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { sharedSandbox } from './sandbox.ts';

const SIZE = 100 * 1024 * 1024;
const BLOCK = randomBytes(1024 * 1024);

const sandbox = sharedSandbox();

/** 100 MiB, no two blocks the same. */
function* blocks(): Generator<Buffer> {
  for (let index = 0; index < SIZE / BLOCK.length; index++) {
    const block = Buffer.from(BLOCK);
    block.writeUInt32LE(index, 0);
    yield block;
  }
}

async function sha256(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
}

describe('a file of 100 MB', () => {
  it('goes up and comes down as a stream, unchanged, and envd does not grow with it', async () => {
    const { files, commands } = sandbox.current;
    const expected = await sha256(blocks());
    // envd is the first process of a sandbox.
    const envdPeak = async () =>
      Number((await commands.run("awk '/^VmHWM|^VmRSS/ {print $2; exit}' /proc/1/status")).stdout);
    const before = await envdPeak();
    await files.write('/tmp/big', Readable.toWeb(Readable.from(blocks())) as ReadableStream);
    expect((await files.getInfo('/tmp/big')).size).toBe(SIZE);
    expect((await commands.run('sha256sum < /tmp/big')).stdout).toBe(`${expected}  -\n`);
    const stream = await files.read('/tmp/big', { format: 'stream' });
    expect(await sha256(stream as unknown as AsyncIterable<Uint8Array>)).toBe(expected);
    expect((await envdPeak()) - before).toBeLessThan(SIZE / 1024 / 2);
  });

  it('goes up in one piece and comes down as bytes, unchanged', async () => {
    const { files } = sandbox.current;
    const data = Buffer.concat([...blocks()]);
    await files.write('/tmp/big', new Blob([data]));
    const read = await files.read('/tmp/big', { format: 'bytes' });
    expect(read.length).toBe(SIZE);
    expect(Buffer.compare(read, data)).toBe(0);
    await files.remove('/tmp/big');
  });
});

describe('files in /tmp', () => {
  it('lie on the disk: programs get the memory all the same', { tags: 'long' }, async () => {
    const { commands, files } = sandbox.current;
    const { memoryMB } = await sandbox.current.getInfo();
    // Together they are half as much again as the sandbox's memory.
    const fileBytes = Math.round(memoryMB * 0.85) * 1024 * 1024;
    const programBytes = Math.round(memoryMB * 0.65) * 1024 * 1024;
    await commands.run(`head -c ${fileBytes} /dev/zero > /tmp/large`);
    const filled = await commands.run(`python3 -c "print(len(bytearray(b'x') * ${programBytes}))"`);
    expect(filled.stdout).toBe(`${programBytes}\n`);
    expect((await files.getInfo('/tmp/large')).size).toBe(fileBytes);
    await files.remove('/tmp/large');
  });
});
