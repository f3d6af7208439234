import { until } from '../../setup/until.ts';
import type { Checks } from './checks.ts';
import { type Cluster, NODES } from './cluster.ts';

/** A start whose API was killed gives its place back after that, ms. */
const LEASE_MS = 130_000;
/** A resume whose answer nobody heard is forgotten by then, ms. */
const CLAIMS_MS = 160_000;

/** Ends a cluster all of whose sandboxes were killed, and says what is left of them anywhere; a line each. */
export async function leftBehind(cluster: Cluster, checks: Checks): Promise<string[]> {
  const left: string[] = [];
  const note = async <T>(what: string, ask: () => Promise<T[]>, patienceMs = 60_000) => {
    let last: T[] = [];
    const read = async () => {
      last = await ask();
      return last;
    };
    await until(what, patienceMs, read, ({ length }) => length === 0).catch(() => {
      left.push(...last.map((each) => `${what}: ${each}`));
    });
  };
  await note('no sandbox is listed', async () => [...(await checks.listed()).keys()]);
  for (const node of NODES) {
    await note(`${node} has none`, async () => (await cluster.sandboxesOn(node)).map(({ id }) => id));
  }
  const rows = (table: string) => () => cluster.postgres.query('islet', `select * from ${table}`);
  await note('no rows in paused_sandboxes', rows('paused_sandboxes'));
  await note('no rows in run_claims', rows('run_claims'), CLAIMS_MS);
  await note('no places are taken', () => placesIn(cluster), LEASE_MS);
  await note('no routes are known', () => cluster.redis.command('--scan', '--pattern', 'islet:route:*'));
  await note('no records of sandboxes are in the store', () => cluster.store.keys('records/sandboxes/'));
  left.push(...(await cluster.stop()));
  left.push(...(await cluster.store.garbage()));
  return left;
}

/** The teams' places that are still taken. Those of starts that are over are there until somebody asks for one. */
async function placesIn({ redis }: Cluster): Promise<string[]> {
  const keys = await redis.command('--scan', '--pattern', 'islet:places:*');
  const places = await Promise.all(
    keys.map(async (key) => {
      const lines = await redis.command('hgetall', key);
      return lines.flatMap((sandbox, index) =>
        index % 2 ? [] : [{ sandbox, kept: lines[index + 1] ?? '' }],
      );
    }),
  );
  const isOver = (kept: string) => kept.startsWith('s:') && Number(kept.slice(2)) < Date.now();
  return places.flat().flatMap(({ sandbox, kept }) => (isOver(kept) ? [] : [`${sandbox} ${kept}`]));
}
