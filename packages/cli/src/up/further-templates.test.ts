import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type FurtherMaker, FurtherTemplates } from './further-templates.ts';

const KNOWN = ['base', 'one', 'two'].map((folder) => ({
  folder,
  name: `${folder}-v1`,
  title: `The ${folder}`,
}));
const logger = createLogger({ service: 'further-test', level: 'silent' });

interface Making {
  folder: string;
  tell(message: string, share?: number): void;
  end(): void;
  fail(message: string): void;
}

/** What is being made, oldest first; tests say how it goes. */
let making: Making[];
/** Folders. */
let there: Set<string>;
let further: FurtherTemplates;

beforeEach(() => {
  [making, there] = [[], new Set()];
  const isThere: FurtherMaker['isThere'] = async ({ folder }) => there.has(folder);
  const make: FurtherMaker['make'] = ({ folder, title }, step, signal) =>
    new Promise((resolve, reject) => {
      const { progress } = step(folder, title);
      const end = () => {
        there.add(folder);
        resolve({ buildId: `build of ${folder}` });
      };
      making.push({ folder, tell: progress, end, fail: (message) => reject(new Error(message)) });
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  further = new FurtherTemplates({ known: KNOWN, maker: { isThere, isOffered: isThere, make }, logger });
});
afterEach(() => further[Symbol.asyncDispose]());

const named = (text: string) => further.named([text])[0] as NonNullable<ReturnType<FurtherTemplates['find']>>;
const made = () => making.map(({ folder }) => folder);
const begun = (count: number) => expect.poll(() => making.length).toBe(count);

it('knows them by folder and by name, and base is none of them', () => {
  expect(further.folders).toEqual(['one', 'two']);
  expect(further.find('one-v1')).toBe(named('one'));
  expect(further.find('base')).toBeUndefined();
  expect(() => further.named(['one', 'three'])).toThrow('--with takes one, two, not "three"');
});

describe('a build', () => {
  it('is begun once, and its progress can be read', async () => {
    const one = named('one');
    expect(further.read(one)).toMatchObject({ state: 'failed', message: 'nobody has asked for it' });
    expect(await further.build(one)).toMatchObject({ state: 'building', message: 'waits for its turn' });
    await begun(1);
    making[0]?.tell('step 1', 0.25);
    // What follows does not know how far it is.
    making[0]?.tell('step 2');
    expect(await further.build(one)).toEqual({ state: 'building', message: 'step 2', share: 0.25 });
    expect(await further.use('one-v1')).toEqual({ progress: '25 %, step 2' });
    making[0]?.end();
    await expect.poll(() => further.read(one).state).toBe('ready');
    expect(await further.build(one)).toMatchObject({ name: 'one-v1', buildId: 'build of one' });
    expect(made()).toEqual(['one']);
  });

  it('waits for the one before it', async () => {
    await further.build(named('one'));
    await further.build(named('two'));
    await begun(1);
    making[0]?.end();
    await begun(2);
    expect(made()).toEqual(['one', 'two']);
  });

  it('that failed is told once, and begins again with its next use', async () => {
    await further.use('one-v1');
    await begun(1);
    making[0]?.fail('no packages');
    await expect.poll(() => further.read(named('one')).state).toBe('failed');
    expect(await further.use('one-v1')).toMatchObject({ failure: 'no packages' });
    await begun(2);
    expect(await further.use('one-v1')).toEqual({ progress: 'waits for its turn' });
  });

  it('is made anew if it is not there any more', async () => {
    await further.build(named('one'));
    await begun(1);
    making[0]?.end();
    await expect.poll(() => further.read(named('one')).state).toBe('ready');
    there.delete('one');
    expect((await further.build(named('one'))).state).toBe('building');
    await begun(2);
  });
});

it('renews those that are offered, and no others', async () => {
  there.add('two');
  await further.renew();
  await begun(1);
  expect(made()).toEqual(['two']);
});

it('a name that stands for none is nobody’s', async () => {
  expect(await further.use('one')).toBeUndefined();
  expect(await further.use('base-v1')).toBeUndefined();
});
