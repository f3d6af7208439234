import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Entry, Row } from './rows.ts';
import { type ReadRange, Segments, type SegmentsOptions } from './segments.ts';

const DAY_MS = 24 * 3_600_000;

let dir: string;
let now: number;
let opened: Segments[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'islet-segments-'));
  now = 1_000_000;
  opened = [];
});
afterEach(() => {
  for (const segments of opened) segments.close();
  rmSync(dir, { recursive: true });
});

function open(over: Partial<SegmentsOptions> = {}): Segments {
  const segments = new Segments({
    ...{ dir, tailBytes: 1_000_000, keepMs: 7 * DAY_MS, same: (a, b) => a === b },
    ...{ now: () => now, logger: createLogger({ service: 'test', level: 'silent' }), ...over },
  });
  opened.push(segments);
  return segments;
}

const row = (timeMs: number, body = `${timeMs}`, teamId = 't1', subject = 'ia'): Row => ({
  ...{ teamId, subject, timeMs, body },
});

async function read(segments: Segments, over: Partial<ReadRange & { teamId: string; subject: string }> = {}) {
  const { teamId = 't1', subject = 'ia', order = 'ascending', ...range } = over;
  const entries: Entry[] = [];
  for await (const entry of segments.read({ teamId, subject }, { order, ...range })) entries.push(entry);
  return entries.map(({ body }) => body);
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);
const files = () => readdirSync(dir).sort();

describe('rows', () => {
  it('are read by time over all files, in both orders, those of one moment as they came', async () => {
    const segments = open();
    for (const batch of [
      [5, 1, 3],
      [2, 9, 4],
      [3, 7],
    ]) {
      segments.append(batch.map((timeMs, index) => row(timeMs, `${timeMs}${'abc'[index]}`)));
      segments.seal();
    }
    segments.append([row(3, '3z'), row(8, '8')]);
    const all = ['1b', '2a', '3c', '3a', '3z', '4c', '5a', '7b', '8', '9b'];
    expect(await read(segments)).toEqual(all);
    expect(await read(segments, { order: 'descending' })).toEqual(all.toReversed());
    expect(await read(segments, { fromMs: 3, toMs: 5 })).toEqual(['3c', '3a', '3z', '4c', '5a']);
    expect(await read(segments, { fromMs: 3, toMs: 5, order: 'descending' })).toEqual(
      ['3c', '3a', '3z', '4c', '5a'].toReversed(),
    );
    expect(await read(segments, { fromMs: 10 })).toEqual([]);
    expect(await read(segments, { subject: 'ib' })).toEqual([]);
    expect(await read(segments, { teamId: 't2' })).toEqual([]);
  });

  it('are kept once, also if the first is sealed, and over restarts', async () => {
    open({ tailBytes: 300 }).append(upTo(20).map((index) => row(index)));
    const again = open({ tailBytes: 300 });
    again.append([...upTo(20), 20, 20].map((index) => row(index)));
    again.append([row(3, 'other')]);
    expect(await read(open())).toEqual([...upTo(21).map(String).toSpliced(4, 0, 'other')]);
  });

  it('that cannot be written are passed over', async () => {
    const segments = open();
    segments.append([
      row(1, 'a\nb'),
      row(2, 'ok'),
      row(Number.NaN),
      row(3, 'x', 't\t1'),
      row(4, 'x', 't1', 'i\n'),
    ]);
    expect(await read(open())).toEqual(['ok']);
  });

  it('are gone some days after they came, whatever time they tell', async () => {
    const segments = open();
    segments.append([row(1)]);
    segments.tidy();
    now += DAY_MS + 1;
    segments.tidy(); // a day old, and sealed
    segments.append([row(2)]);
    now += 7 * DAY_MS;
    segments.tidy();
    expect(await read(segments)).toEqual(['1', '2']);
    now += 1;
    segments.tidy();
    expect(await read(segments)).toEqual(['2']);
  });
});

describe('files', () => {
  it.each(['tail', 'sealed'] as const)(
    'that are damaged at any place of a %s lose no other row',
    async (kind) => {
      const first = open();
      first.append(upTo(5).map((index) => row(index, `before ${index}`)));
      first.seal();
      first.append(upTo(5).map((index) => row(10 + index, `row ${index}`, 't1', `i${index}`)));
      if (kind === 'sealed') first.seal();
      const [, name = ''] = files();
      const path = join(dir, name);
      expect(name).toMatch(kind);
      const whole = readFileSync(path);
      const before = upTo(5).map((index) => `before ${index}`);
      for (let cut = 0; cut < whole.length; cut++) {
        truncateSync(path, 0);
        writeFileSync(path, whole.subarray(0, cut));
        const segments = open();
        expect(await read(segments), `cut at ${cut}`).toEqual(before);
        const kept = [];
        for (const index of upTo(5)) kept.push(...(await read(segments, { subject: `i${index}` })));
        expect(kept, `cut at ${cut}`).toEqual(upTo(kept.length).map((index) => `row ${index}`));
        // Each row has at most so many bytes beside its text.
        if (kind === 'tail') expect(kept.length).toBeGreaterThanOrEqual(Math.floor(cut / (whole.length / 5)));
        // What comes next is kept and found, whatever was cut off before it.
        segments.append([row(100, 'after')]);
        segments.close();
        opened.pop();
        expect(await read(open()), `cut at ${cut}`).toEqual([...before, 'after']);
        opened.pop()?.close();
        for (const other of files()) if (other > name) rmSync(join(dir, other));
        writeFileSync(path, whole);
      }
      expect(await read(open(), { subject: 'i4' })).toEqual(['row 4']);
    },
  );

  it('that are damaged in their middle lose what is there, and no more', async () => {
    const first = open();
    for (const subject of ['ia', 'ib', 'ic']) first.append([row(1, `of ${subject}`, 't1', subject)]);
    first.seal();
    const [name = ''] = files();
    const bytes = readFileSync(join(dir, name));
    bytes[10] = (bytes[10] ?? 0) ^ 0xff;
    writeFileSync(join(dir, name), bytes);
    const segments = open();
    expect(await read(segments)).toEqual([]);
    expect(await read(segments, { subject: 'ib' })).toEqual(['of ib']);
    expect(await read(segments, { subject: 'ic' })).toEqual(['of ic']);
  });

  it('of a process that was killed while it sealed are read once', async () => {
    const first = open();
    first.append([row(1), row(2)]);
    const [tail = ''] = files();
    const bytes = readFileSync(join(dir, tail));
    first.seal();
    // The tail was not removed yet, and a file beside it not whole.
    writeFileSync(join(dir, tail), bytes);
    writeFileSync(join(dir, '0000000009.sealed.new'), 'half');
    const again = open();
    expect(await read(again)).toEqual(['1', '2']);
    again.append([row(3)]);
    expect(await read(open())).toEqual(['1', '2', '3']);
    expect(files().filter((name) => name.endsWith('.new'))).toEqual([]);
  });

  it('give away a team’s oldest, and nothing of another one', async () => {
    const segments = open();
    for (const from of [0, 10, 20]) {
      segments.append(upTo(10).map((index) => row(from + index, `${from + index}`.repeat(50))));
      segments.append([row(from, `${from}`, 't2')]);
      segments.seal();
    }
    const before = files().reduce((sum, name) => sum + statSync(join(dir, name)).size, 0);
    const freed = segments.giveAway('t1');
    expect(freed).toBeGreaterThan(0);
    const after = files().reduce((sum, name) => sum + statSync(join(dir, name)).size, 0);
    expect(before - after).toBe(freed);
    expect((await read(segments)).length).toBe(20);
    expect(await read(segments, { teamId: 't2' })).toEqual(['0', '10', '20']);
    expect(segments.giveAway('t3')).toBe(0);
    segments.giveAway('t2');
    expect(await read(open(), { teamId: 't2' })).toEqual(['10', '20']);
    expect((await read(open())).length).toBe(20);
  });

  it('that change while they are read lose nothing for the reader', async () => {
    const segments = open();
    for (const from of [0, 10, 20]) {
      segments.append(upTo(10).map((index) => row(from + index)));
      segments.append([row(from, `${from}`, 't2')]);
      segments.seal();
    }
    segments.append([row(30)]);
    const entries: string[] = [];
    for await (const { body } of segments.read({ teamId: 't1', subject: 'ia' }, { order: 'ascending' })) {
      entries.push(body);
      if (body === '5') segments.seal();
      if (body === '8') while (segments.giveAway('t2') > 0);
    }
    expect(entries).toEqual(upTo(31).map(String));
  });
});
