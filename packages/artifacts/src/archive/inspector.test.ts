import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleInspector } from '../../bundle.mjs';
import { END, entry, tar } from '../../test/tar.ts';
import { ArchiveError } from './archive-error.ts';
import { ArchiveInspector, InspectorBusyError } from './inspector.ts';

const GIB = 1024 ** 3;
let dir: string;
let program: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-inspector-'));
  program = join(dir, 'inspector.mjs');
  await bundleInspector(program);
  await writeFile(join(dir, 'good'), tar({ path: 'a', content: 'x' }));
  // 64 kB that unpack to 64 MiB, all of it behind the end; and a file of 1 GiB.
  await writeFile(
    join(dir, 'tail'),
    gzipSync(Buffer.concat([tar({ path: 'a' }), Buffer.alloc(64 * 1024 ** 2)])),
  );
  const zeros = gzipSync(Buffer.alloc(64 * 1024 ** 2), { level: 1 });
  const head = gzipSync(entry({ path: 'a', size: GIB }));
  await writeFile(join(dir, 'large'), Buffer.concat([head, ...Array<Buffer>(16).fill(zeros), gzipSync(END)]));
});
afterAll(() => rm(dir, { recursive: true }));

const open = (over: { program?: string; limitMs?: number; atOnce?: number } = {}) => {
  const inspector = new ArchiveInspector({ program, atOnce: 1, limitMs: 60_000, ...over });
  return (name: string, teamId = 'team') =>
    inspector.inspect({ teamId, file: join(dir, name), maxBytes: 10 * GIB });
};

/** A program in the place of the inspector. */
async function programOf(text: string): Promise<string> {
  const path = join(dir, `${crypto.randomUUID()}.mjs`);
  await writeFile(path, text);
  return path;
}

describe('the inspector of archives', () => {
  it('takes what is sound, refuses what is not, and goes on', async () => {
    const inspect = open();
    await inspect('good');
    await expect(inspect('tail')).rejects.toThrow('more than 1 MiB of padding');
    await expect(inspect('missing')).rejects.toThrow('ENOENT');
    await inspect('good');
  });

  it('leaves its thread to others while it looks', async () => {
    let turns = 0;
    let over = false;
    const looking = expect(open()('large'))
      .rejects.toThrow('several')
      .finally(() => {
        over = true;
      });
    for (; !over; turns++) await sleep(1);
    await looking;
    // Read by this thread, there would be one.
    expect(turns).toBeGreaterThan(10);
  });

  it('ends a look that takes too long, and one that takes too much memory', async () => {
    const endless = open({ program: await programOf('for (;;);'), limitMs: 200 });
    await expect(endless('good')).rejects.toThrow(ArchiveError);
    await expect(endless('good')).rejects.toThrow('takes longer than');
    const greedy = await programOf('const all = []; for (;;) all.push(new Array(1000).fill({}));');
    await expect(open({ program: greedy })('good')).rejects.toThrow('too much memory');
    const ending = open({ program: await programOf('process.exit(0)') });
    await expect(ending('good')).rejects.toThrow('ended without an answer');
  });

  it('looks at one archive of a team at a time, and takes the teams in turn', async () => {
    const inspect = open({ atOnce: 2 });
    const order: string[] = [];
    const look = (team: string) => inspect('good', team).then(() => order.push(team));
    await Promise.all([...Array.from({ length: 6 }, () => look('many')), look('one'), look('two')]);
    // In the order in which they were asked, five and six of the first team would have to end before them.
    expect(order.indexOf('one')).toBeLessThan(5);
    expect(order.indexOf('two')).toBeLessThan(6);
    expect(order).toHaveLength(8);
  });

  it('refuses a team whose archives pile up', async () => {
    const inspect = open({ program: await programOf('for (;;);'), limitMs: 100 });
    const looks = Array.from({ length: 102 }, () => inspect('good').catch((error: unknown) => error));
    expect(await looks.at(-1)).toBeInstanceOf(InspectorBusyError);
    await inspect('good', 'other').catch((error) => expect(error).toBeInstanceOf(ArchiveError));
  });
});
