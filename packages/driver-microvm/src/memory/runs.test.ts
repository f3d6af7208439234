import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addLayer,
  decodeRuns,
  encodeRuns,
  type MemoryLayer,
  planGoOn,
  planSave,
  planStart,
  type Run,
  type SavedRun,
} from './runs.ts';

const run = (page: number, count: number, layer = 1, at = page): SavedRun => ({ page, count, layer, at });
const layer = (number: number, pages: number): MemoryLayer => ({ number, pages, crc32: 0 });

describe('a start', () => {
  it('maps long runs and copies short ones', () => {
    const [short, long] = [run(0, 3, 1, 0), run(10, 64, 1, 3)];
    expect(planStart([short, long])).toEqual({ mapped: [long], copied: [short] });
  });

  it('maps a layer in one piece if a later one hides some of its pages', () => {
    const hidden = [run(0, 20), run(20, 2, 2, 0), run(22, 5), run(27, 1, 2, 2), run(28, 40)];
    expect(planStart(hidden)).toEqual({ mapped: [run(0, 68)], copied: [hidden[1], hidden[3]] });
  });

  it('maps nothing over pages that are as in the template, and no piece as if it were another’s', () => {
    const apart = [run(0, 20), run(21, 20), run(41, 20, 1, 100)];
    expect(planStart(apart)).toEqual({ mapped: apart, copied: [] });
  });

  it('maps the longest of a memory in very many pieces', () => {
    const pieces = Array.from({ length: 3000 }, (_, i) => run(i * 100, i < 1500 ? 20 : 21));
    const { copied, mapped } = planStart(pieces);
    expect(mapped.length).toBeLessThan(3000);
    expect(mapped.every(({ count }) => count === 21)).toBe(true);
    expect([...mapped, ...copied].sort((a, b) => a.page - b.page)).toEqual(pieces);
  });
});

describe('a save', () => {
  it('writes what the machine has of its own, and keeps the rest where it is', () => {
    const own: Run[] = [{ page: 5, count: 2 }];
    expect(planSave([run(0, 100)], own, [layer(1, 100)])).toEqual({
      written: own,
      kept: [run(0, 5), run(7, 93)],
    });
  });

  it('gives up a layer of which most is hidden', () => {
    const plan = planSave([run(0, 100)], [{ page: 0, count: 51 }], [layer(1, 100)]);
    expect(plan).toEqual({ written: [{ page: 0, count: 100 }], kept: [] });
  });

  it('gives up the layers that show least if there are too many', () => {
    const layers = Array.from({ length: 12 }, (_, i) => layer(i + 1, 20 + i));
    const shown = layers.map(({ number, pages }) => run(number * 100, pages, number, 0));
    const { kept, written } = planSave(shown, [], layers);
    expect(kept.map((each) => each.layer)).toEqual([6, 7, 8, 9, 10, 11, 12]);
    expect(written.map(({ page }) => page)).toEqual([100, 200, 300, 400, 500]);
  });
});

describe('a machine that goes on after a save', () => {
  it('maps what was saved in long runs, and in short ones over what it showed', () => {
    const saved = [run(0, 2000, 2, 0), run(2000, 3, 1), run(2003, 3, 2, 2000), run(3000, 3, 2, 2003)];
    expect(planGoOn([run(1990, 20)], saved, 2)).toEqual({
      mapped: [run(0, 2000, 2, 0), run(2003, 3, 2, 2000)],
      shown: [run(0, 2000, 2, 0), run(2000, 3), run(2003, 3, 2, 2000), run(2006, 4)],
    });
  });

  it('leaves it at that where it was little', () => {
    expect(planGoOn([run(0, 20)], [run(0, 500, 2)], 2)).toEqual({ mapped: [], shown: [run(0, 20)] });
  });
});

it('reads the runs that it wrote', () => {
  const runs = [run(1, 2, 3, 4), run(2 ** 32 - 1, 6, 7, 8)];
  expect(decodeRuns(encodeRuns(runs))).toEqual(runs);
});

const PAGES = 300;
const piece = fc.tuple(fc.nat(PAGES - 1), fc.integer({ min: 1, max: 60 }));
/** Between a start and the save after it: pages that are written, one by one or in pieces, and pages that are freed. */
const life = fc.record({
  written: fc.array(piece, { maxLength: 6 }),
  scattered: fc.array(fc.nat(PAGES - 1), { maxLength: 20 }),
  freed: fc.array(piece, { maxLength: 2 }),
});

it('brings every page back that was in use, over any number of saves and starts', () => {
  fc.assert(
    fc.property(fc.array(life, { minLength: 1, maxLength: 14 }), (lives) => {
      /** What each page has to hold; undefined if it is free. */
      const wanted: (number | undefined)[] = Array(PAGES).fill(0);
      const files = new Map<number, number[]>();
      let layers: MemoryLayer[] = [];
      let saved: SavedRun[] = [];
      let value = 0;
      for (const { freed, scattered, written } of lives) {
        const { copied, mapped } = planStart(saved);
        const shows: number[] = Array(PAGES).fill(0);
        const put = (into: number[], runs: SavedRun[]) => {
          for (const { at, count, layer: of, page } of runs)
            for (let i = 0; i < count; i++) into[page + i] = files.get(of)?.[at + i] as number;
        };
        put(shows, mapped);
        const own: (number | undefined)[] = Array(PAGES).fill(undefined);
        put(own as number[], copied);
        const holds = (page: number) => own[page] ?? (shows[page] as number);
        expect(wanted.map((content, page) => content && holds(page))).toEqual(wanted);
        const each = (pieces: (readonly [number, number])[], change: (page: number) => void) => {
          for (const [page, count] of pieces)
            for (let i = page; i < Math.min(PAGES, page + count); i++) change(i);
        };
        each([...written, ...scattered.map((page) => [page, 1] as const)], (page) => {
          own[page] = wanted[page] = ++value;
        });
        each(freed, (page) => {
          own[page] = wanted[page] = undefined;
        });
        const ownRuns = own.flatMap((content, page) => (content === undefined ? [] : [{ page, count: 1 }]));
        const plan = planSave(mapped, ownRuns, layers);
        const number = Math.max(0, ...files.keys()) + 1;
        files.set(
          number,
          plan.written.flatMap(({ count, page }) => Array.from({ length: count }, (_, i) => holds(page + i))),
        );
        const stay = new Set(plan.kept.map((each) => each.layer));
        layers = layers.filter((each) => stay.has(each.number));
        layers.push(layer(number, files.get(number)?.length ?? 0));
        for (const old of files.keys()) if (!layers.some((each) => each.number === old)) files.delete(old);
        expect(layers.length).toBeLessThanOrEqual(8);
        saved = addLayer(plan.kept, plan.written, number);
      }
    }),
  );
});

const MANY_PAGES = 3000;
const fork = fc.record({
  // So much that the machine maps what it saved.
  much: fc.nat(MANY_PAGES - 1100),
  written: fc.array(fc.tuple(fc.nat(MANY_PAGES - 40), fc.integer({ min: 1, max: 40 })), { maxLength: 40 }),
});

it('leaves a machine what it holds, and few layers, however often it is forked', () => {
  fc.assert(
    fc.property(fc.array(fork, { minLength: 9, maxLength: 15 }), (forks) => {
      const holds: number[] = Array(MANY_PAGES).fill(0);
      const isOwn: boolean[] = Array(MANY_PAGES).fill(false);
      const files = new Map<number, number[]>();
      let shown: SavedRun[] = [];
      let layers: MemoryLayer[] = [];
      let value = 0;
      for (const { much, written } of forks) {
        for (const [page, count] of [...written, [much, 1100] as const]) {
          holds.fill(++value, page, page + count);
          isOwn.fill(true, page, page + count);
        }
        const own = isOwn.flatMap((is, page) => (is ? [{ page, count: 1 }] : []));
        const plan = planSave(shown, own, layers);
        const number = Math.max(0, ...layers.map((each) => each.number)) + 1;
        const content = plan.written.flatMap(({ count, page }) => holds.slice(page, page + count));
        files.set(number, content);
        const goOn = planGoOn(shown, addLayer(plan.kept, plan.written, number), number);
        expect(goOn.mapped).not.toEqual([]);
        for (const { page, count } of goOn.mapped) isOwn.fill(false, page, page + count);
        shown = goOn.shown;
        const needed = new Set(shown.map((each) => each.layer));
        layers = [...layers, layer(number, content.length)].filter((each) => needed.has(each.number));
        expect(layers.length).toBeLessThanOrEqual(8);
        // What is its own no more is what it shows.
        const wrong = shown.flatMap(({ page, count, layer: of, at }) =>
          Array.from({ length: count }, (_, i) => page + i).filter(
            (each) => !isOwn[each] && files.get(of)?.[at + each - page] !== holds[each],
          ),
        );
        expect(wrong).toEqual([]);
      }
    }),
    { numRuns: 15 },
  );
});

it('maps no more pieces than a process may have', () => {
  const pieces = (layer: number) =>
    Array.from({ length: 12_000 }, (_, i) => run(i * 80 + 40 * layer, 20, layer));
  const [shown, saved] = [pieces(1), pieces(0).slice(0, 9000)];
  expect(planGoOn(shown, saved, 0).mapped).toHaveLength(4000);
  expect(
    planGoOn([...shown, ...shown.map((each) => ({ ...each, page: each.page + 960_000 }))], saved, 0),
  ).toMatchObject({
    mapped: [],
  });
});
