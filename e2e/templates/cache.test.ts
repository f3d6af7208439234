import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Template, type TemplateBuilder } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BUILD_MS, sharedBuilder } from './builder.ts';

const builder = sharedBuilder('Template cache');
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'islet-context-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The steps that a build took from the cache and those it ran, by their number. */
function steps(log: string[]): { cached: number[]; ran: number[] } {
  const numbers = (pattern: RegExp) =>
    log.flatMap((line) => {
      const found = pattern.exec(line);
      return found ? [Number(found[1])] : [];
    });
  return {
    cached: numbers(/^CACHED \[builder (\d+)\/\d+\]/),
    ran: numbers(/^\[builder (\d+)\/\d+\] [A-Z]+ /),
  };
}

describe('the layer cache', { timeout: BUILD_MS }, () => {
  it('runs no step again that is unchanged, and all after one that is not', async () => {
    const make = (second: string) =>
      Template()
        .fromBaseImage()
        .setEnvs({ MARK: 'cache-one' })
        .runCmd('date +%s%N > one')
        .runCmd(`echo ${second} > two; date +%s%N > when`)
        .runCmd('date +%s%N > three');
    const unique = crypto.randomUUID();
    const first = await builder.current.build(make(unique), 'cached');
    const stamps = await builder.current.run('cached', 'cat one when three');
    expect(steps(first.log).ran).toContain(3);
    const again = await builder.current.build(make(unique), 'cached');
    expect(steps(again.log)).toEqual({ cached: [1, 2, 3, 4], ran: [] });
    expect(await builder.current.run('cached', 'cat one when three')).toBe(stamps);
    const changed = await builder.current.build(make(`${unique}-b`), 'cached');
    expect(steps(changed.log)).toEqual({ cached: [1, 2], ran: [3, 4] });
    const [one, when, three] = (await builder.current.run('cached', 'cat one when three')).split('\n');
    expect([one]).toEqual([stamps.split('\n')[0]]);
    expect(stamps).not.toContain(when);
    expect(stamps).not.toContain(three);
  });

  it('follows what is copied', async () => {
    const make = () =>
      Template({ fileContextPath: folder })
        .fromBaseImage()
        .copy('data.txt', 'data.txt')
        .runCmd('cp data.txt copy.txt');
    const content = crypto.randomUUID();
    await writeFile(join(folder, 'data.txt'), content);
    const first = await builder.current.build(make(), 'followed');
    expect(first.log).toContain("Uploaded 'data.txt'");
    expect(steps(first.log).ran).toEqual([1, 2]);
    const same = await builder.current.build(make(), 'followed');
    expect(same.log).toContain("Skipping upload of 'data.txt', already cached");
    expect(steps(same.log).cached).toEqual([1, 2]);
    await writeFile(join(folder, 'data.txt'), `${content} changed`);
    const changed = await builder.current.build(make(), 'followed');
    expect(steps(changed.log).ran).toEqual([1, 2]);
    expect(await builder.current.run('followed', 'cat copy.txt')).toBe(`${content} changed`);
  });

  it('is passed by where the user says so: for all steps, or from one on', { tags: 'long' }, async () => {
    const make = (mark: (builder: TemplateBuilder) => TemplateBuilder) =>
      mark(Template().fromBaseImage().runCmd('date +%s%N > a'))
        .runCmd('date +%s%N > b')
        .runCmd('date +%s%N > c');
    await builder.current.build(
      make((each) => each),
      'forced',
    );
    const [before] = (await builder.current.run('forced', 'cat a b c')).split('\n');
    const partly = await builder.current.build(
      make((each) => each.skipCache()),
      'forced',
    );
    expect(steps(partly.log)).toEqual({ cached: [1], ran: [2, 3] });
    const [kept] = (await builder.current.run('forced', 'cat a b c')).split('\n');
    expect(kept).toBe(before);
    const wholly = await builder.current.build(
      make((each) => each),
      'forced',
      { skipCache: true },
    );
    expect(steps(wholly.log)).toEqual({ cached: [], ran: [1, 2, 3] });
  });

  it('uploads again if the user says so', async () => {
    await writeFile(join(folder, 'again.txt'), 'again');
    const make = () =>
      Template({ fileContextPath: folder }).fromBaseImage().copy('again.txt', 'x', { forceUpload: true });
    await builder.current.build(make(), 'uploads');
    const second = await builder.current.build(make(), 'uploads');
    expect(second.log).toContain("Uploaded 'again.txt'");
  });
});
