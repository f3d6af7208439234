import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Route } from './route.ts';
import type { RouteChange, RouteListener, Routes } from './routes.ts';

const HOUR_MS = 3_600_000;

export function testRoute(sandboxId: string, over: Partial<Route> = {}): Route {
  return {
    sandboxId,
    executionId: `run-of-${sandboxId}`,
    revision: 1,
    state: 'running',
    teamId: 't',
    nodeId: 'n',
    address: '10.0.0.1',
    proxyAddress: undefined,
    ingress: { publicTraffic: true, trafficTokenDigest: undefined, maskRequestHost: undefined },
    envdTokenDigest: undefined,
    wakes: false,
    moving: false,
    expiresAtMs: Date.now() + HOUR_MS,
    ...over,
  };
}

/** Writes down what a watch tells. */
class Witness implements RouteListener {
  readonly told: RouteChange[] = [];
  /** Marks, each with how much had been told by then. */
  readonly marks: { mark: number; told: number }[] = [];
  readonly losses: unknown[] = [];

  changed(change: RouteChange): void {
    this.told.push(change);
  }

  reached(mark: number): void {
    this.marks.push({ mark, told: this.told.length });
  }

  lost(error: unknown): void {
    this.losses.push(error);
  }

  /** What is there, by all that was told. */
  get left(): Record<string, Route> {
    const left: Record<string, Route> = {};
    for (const change of this.told) {
      if (change.kind === 'put') left[change.route.sandboxId] = change.route;
      else delete left[change.sandboxId];
    }
    return left;
  }
}

/**
 * What every adapter must do. Nothing here needs what is written to be told at once, or in one process.
 * @param open makes one that holds nothing; its entries expire by the system's clock
 */
export function routesContract(name: string, open: () => Promise<Routes>): void {
  describe(`routes: ${name}`, () => {
    let routes: Routes;
    beforeEach(async () => {
      routes = await open();
    });

    it('gives back what was put, whole', async () => {
      const whole = testRoute('a', {
        state: 'paused',
        proxyAddress: '[::1]:5007',
        ingress: { publicTraffic: false, trafficTokenDigest: 'digest', maskRequestHost: 'app.test' },
        envdTokenDigest: 'other',
        wakes: true,
        moving: true,
      });
      expect(await routes.put(whole)).toBe(true);
      expect(await routes.put(testRoute('b'))).toBe(true);
      expect(await routes.get('a')).toEqual(whole);
      expect(await routes.get('c')).toBeUndefined();
    });

    it('keeps the later revision, whichever comes last', async () => {
      expect(await routes.put(testRoute('a', { revision: 2 }))).toBe(true);
      expect(await routes.put(testRoute('a', { revision: 1, state: 'paused' }))).toBe(false);
      expect(await routes.get('a')).toMatchObject({ revision: 2, state: 'running' });
      // Said again, perhaps with another expiry.
      expect(await routes.put(testRoute('a', { revision: 2, state: 'pausing' }))).toBe(true);
      expect(await routes.put(testRoute('a', { revision: 3, state: 'paused' }))).toBe(true);
      expect(await routes.get('a')).toMatchObject({ revision: 3, state: 'paused' });
    });

    it('keeps the later revision, of many that are put at once', async () => {
      const revisions = Array.from({ length: 50 }, (_, index) => ((index * 7) % 50) + 1);
      await Promise.all(revisions.map((revision) => routes.put(testRoute('a', { revision }))));
      expect(await routes.get('a')).toMatchObject({ revision: 50 });
    });

    it('is removed only by the run that wrote it, and once', async () => {
      await routes.put(testRoute('a', { executionId: 'first' }));
      await routes.put(testRoute('a', { executionId: 'second', revision: 2 }));
      expect(await routes.remove('a', 'first')).toBe(false);
      expect(await routes.get('a')).toMatchObject({ executionId: 'second' });
      expect(await routes.remove('a', 'second')).toBe(true);
      expect(await routes.remove('a', 'second')).toBe(false);
      expect(await routes.get('a')).toBeUndefined();
    });

    it('loses no run to the removal of the one before, whichever comes first', async () => {
      for (let round = 0; round < 20; round++) {
        const id = `s${round}`;
        await routes.put(testRoute(id, { executionId: 'first' }));
        const next = testRoute(id, { executionId: 'second', revision: 2 });
        const removal = () => routes.remove(id, 'first');
        await Promise.all(round % 2 ? [routes.put(next), removal()] : [removal(), routes.put(next)]);
        expect(await routes.get(id)).toMatchObject({ executionId: 'second' });
      }
    });

    it('knows no route that has expired, and takes any revision in its place', async () => {
      const expiresAtMs = Date.now() + 50;
      await routes.put(testRoute('a', { revision: 9, expiresAtMs }));
      await routes.put(testRoute('b', { expiresAtMs }));
      await routes.put(testRoute('b'));
      await expect.poll(() => routes.get('a'), { interval: 10 }).toBeUndefined();
      expect(Date.now()).toBeGreaterThanOrEqual(expiresAtMs);
      // It was put off.
      expect(await routes.get('b')).toBeDefined();
      expect(await routes.remove('a', 'run-of-a')).toBe(false);
      expect(await routes.put(testRoute('a', { revision: 1 }))).toBe(true);
      expect(await routes.get('a')).toMatchObject({ revision: 1 });
    });

    it('leads to a node for what it says that it has, of what it was known for when it was asked', async () => {
      const elsewhere = { nodeId: 'm' };
      for (const id of ['kept', 'gone', 'moved']) await routes.put(testRoute(id));
      await routes.put(testRoute('of another', elsewhere));
      const mark = await routes.mark();
      // It was made when the report was on its way.
      await routes.put(testRoute('fresh'));
      await routes.put(testRoute('moved', { ...elsewhere, revision: 2 }));
      // Said again, as with every event.
      const gone = await routes.get('gone');
      if (gone) await routes.put(gone);
      const witness = new Witness();
      const end = await routes.watch(witness);
      await routes.reconcile('n', new Set(['kept']), mark);
      const left = ['kept', 'moved', 'of another', 'fresh'];
      await expect.poll(() => Object.keys(witness.left).sort()).toEqual([...left].sort());
      expect(witness.told.at(-1)).toEqual({ kind: 'remove', sandboxId: 'gone', executionId: 'run-of-gone' });
      await routes.reconcile('n', new Set(), await routes.mark());
      await expect.poll(() => Object.keys(witness.left).sort()).toEqual(['moved', 'of another']);
      for (const id of ['kept', 'gone', 'fresh']) expect(await routes.get(id)).toBeUndefined();
      end();
    });

    describe('a watch', () => {
      it('tells what is there at its start, and then each change in order', async () => {
        await routes.put(testRoute('a'));
        await routes.put(testRoute('b'));
        const witness = new Witness();
        const end = await routes.watch(witness);
        expect(Object.keys(witness.left).sort()).toEqual(['a', 'b']);
        const before = witness.told.length;
        const changes: RouteChange[] = [];
        for (let revision = 2; revision < 40; revision++) {
          const route = testRoute('a', { revision, executionId: `run-${revision}` });
          await routes.put(route);
          changes.push({ kind: 'put', route });
          if (revision % 3) continue;
          await routes.remove('a', route.executionId);
          changes.push({ kind: 'remove', sandboxId: 'a', executionId: route.executionId });
        }
        await expect.poll(() => witness.told.length - before).toBe(changes.length);
        expect(witness.told.slice(before)).toEqual(changes);
        expect(witness.losses).toEqual([]);
        end();
      });

      it('tells nothing of what changed nothing', async () => {
        await routes.put(testRoute('a', { revision: 2 }));
        const witness = new Witness();
        const end = await routes.watch(witness);
        await routes.put(testRoute('a', { revision: 1 }));
        await routes.remove('a', 'another run');
        await routes.remove('b', 'run-of-b');
        const same = await routes.get('a');
        if (same) expect(await routes.put(same)).toBe(true);
        await routes.put(testRoute('last'));
        await expect.poll(() => witness.left.last).toBeDefined();
        expect(witness.told.map(({ kind }) => kind)).toEqual(['put', 'put']);
        end();
      });

      it('misses nothing of what is put and removed while it begins', async () => {
        const writing = Array.from({ length: 200 }, async (_, index) => {
          await routes.put(testRoute(`s${index}`));
          if (index % 2) await routes.remove(`s${index}`, `run-of-s${index}`);
        });
        const witness = new Witness();
        const [end] = await Promise.all([routes.watch(witness), ...writing]);
        await routes.put(testRoute('last'));
        await expect.poll(() => witness.left.last).toBeDefined();
        const expected = Array.from({ length: 100 }, (_, index) => `s${index * 2}`);
        expect(Object.keys(witness.left).sort()).toEqual(['last', ...expected].sort());
        end();
      });

      it('tells no more once it has ended; the next begins anew, beside others', async () => {
        const [first, other, second] = [new Witness(), new Witness(), new Witness()];
        const endFirst = await routes.watch(first);
        const endOther = await routes.watch(other);
        await routes.put(testRoute('a'));
        await routes.put(testRoute('b'));
        await expect.poll(() => first.told.length).toBe(2);
        endFirst();
        await routes.remove('a', 'run-of-a');
        await routes.put(testRoute('c'));
        const endSecond = await routes.watch(second);
        expect(Object.keys(second.left).sort()).toEqual(['b', 'c']);
        await expect.poll(() => other.told.length).toBe(4);
        expect(first.told).toHaveLength(2);
        endOther();
        endSecond();
      });

      it('has told at its start no route that has expired', async () => {
        await routes.put(testRoute('a', { expiresAtMs: Date.now() + 30 }));
        await routes.put(testRoute('b'));
        await expect.poll(() => routes.get('a'), { interval: 10 }).toBeUndefined();
        const witness = new Witness();
        const end = await routes.watch(witness);
        expect(Object.keys(witness.left)).toEqual(['b']);
        end();
      });
    });

    it('agrees with a model, and every watch with it, whatever is done', async () => {
      const run = fc.record({ id: fc.constantFrom('a', 'b'), executionId: fc.constantFrom('x', 'y') });
      const step = fc.oneof(
        fc.record({ kind: fc.constant('put' as const), run, revision: fc.integer({ min: 1, max: 4 }) }),
        fc.record({ kind: fc.constant('remove' as const), run }),
      );
      await fc.assert(
        fc.asyncProperty(fc.array(step), async (steps) => {
          const subject = await open();
          const witness = new Witness();
          const end = await subject.watch(witness);
          const model: Record<string, Route> = {};
          for (const { run, ...action } of steps) {
            const known = model[run.id];
            if (action.kind === 'put') {
              const route = testRoute(run.id, { executionId: run.executionId, revision: action.revision });
              const isNewer = !known || known.revision <= route.revision;
              expect(await subject.put(route)).toBe(isNewer);
              if (isNewer) model[run.id] = route;
            } else {
              const isItsOwn = known?.executionId === run.executionId;
              expect(await subject.remove(run.id, run.executionId)).toBe(isItsOwn);
              if (isItsOwn) delete model[run.id];
            }
          }
          await subject.put(testRoute('last'));
          await expect.poll(() => witness.left.last, { interval: 1 }).toBeDefined();
          const { last: _, ...left } = witness.left;
          expect(left).toEqual(model);
          for (const id of ['a', 'b']) expect(await subject.get(id)).toEqual(model[id]);
          end();
        }),
        { numRuns: 50 },
      );
    });
  });
}

/** What every adapter must do whose watches say how far they are: those of control planes. */
export function marksContract(name: string, open: () => Promise<Routes>): void {
  it(`routes: ${name}: a watch reaches each mark, and has told by then what was written before it`, async () => {
    const routes = await open();
    await routes.put(testRoute('before'));
    await routes.remove('before', 'run-of-before');
    const atStart = await routes.mark();
    const witness = new Witness();
    const end = await routes.watch(witness);
    const reached = (mark: number) => () => witness.marks.some((each) => each.mark >= mark);
    await expect.poll(reached(atStart)).toBe(true);
    for (let round = 0; round < 20; round++) {
      await Promise.all([1, 2, 3].map((each) => routes.put(testRoute(`s${round}-${each}`))));
      if (round % 2) await routes.remove(`s${round}-1`, `run-of-s${round}-1`);
      const mark = await routes.mark();
      await expect.poll(reached(mark), { interval: 1 }).toBe(true);
      const told = witness.marks.find((each) => each.mark >= mark)?.told;
      expect(told).toBe(witness.told.length);
    }
    end();
  });
}
