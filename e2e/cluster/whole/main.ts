// A whole cluster whose parts are broken at random: npm run test:cluster -- --help
import { randomInt } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { parseChoices, parseMinutes } from '../../setup/choices.ts';
import { Cluster } from './cluster.ts';
import { FAULTS } from './faults.ts';
import { breakAtRandom, type Summary } from './run.ts';
import { STORES } from './store.ts';

const USAGE = `Starts a cluster of three nodes, two APIs and two edges, each on a machine of its own, has clients use it while its parts are
broken and repaired at random, and checks that nothing is lost, nothing runs twice, limits hold and nothing is left behind.

  npm run test:cluster -- [--minutes <n>] [--seed <n>] [--faults <kind>,…] [--store <kind>] [--log <file>] [--json]

  --minutes  how long (30, or ISLET_CLUSTER_MINUTES)
  --seed     of an earlier run, to make the same choices again (ISLET_CLUSTER_SEED)
  --faults   these kinds alone: ${FAULTS.join(', ')}
  --store    what saved states are sent to: ${STORES.join(', ')} (directory, or ISLET_CLUSTER_STORE); s3 is a bucket of OpenStack Swift
  --log      where to write what Islet's processes said
  --json     the summary as one JSON object on standard output; progress goes to standard error in any case

Needs root, PostgreSQL and Redis (./islet setup --with-tests). Exits with 1 if anything broke.
`;

const LIMIT = 8;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: process.env.ISLET_CLUSTER_MINUTES ?? '30' },
    seed: { type: 'string', default: process.env.ISLET_CLUSTER_SEED ?? String(randomInt(2 ** 31)) },
    faults: { type: 'string', default: FAULTS.join(',') },
    store: { type: 'string', default: process.env.ISLET_CLUSTER_STORE ?? 'directory' },
    log: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

function textOf({
  seed,
  seconds,
  rounds,
  operations,
  errors,
  faults,
  breaches,
  broken,
}: Omit<Summary, 'log'>): string {
  const list = (counts: Record<string, number>) =>
    Object.entries(counts)
      .sort(([, a], [, b]) => b - a)
      .map(([name, count]) => `  ${String(count).padStart(6)}  ${name}`);
  const sum = Object.values(operations).reduce((total, count) => total + count, 0);
  return [
    `seed ${seed}, ${seconds} s, ${rounds} rounds`,
    ...[`${sum} operations:`, ...list(operations)],
    ...['answered with an error:', ...list(errors)],
    ...['faults:', ...list(faults)],
    ...['broken promises:', ...list(breaches)],
    ...(broken === undefined ? [] : [`it broke: ${broken}`]),
  ].join('\n');
}

async function main(): Promise<number> {
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => interrupted.abort());
  const [store, ...others] = parseChoices('store', STORES, values.store);
  if (store === undefined || others.length > 0) throw new Error('--store takes one');
  const kinds = parseChoices('faults', FAULTS, values.faults);
  const durationMs = parseMinutes(values.minutes);
  const began = Date.now();
  const say = (text: string) =>
    process.stderr.write(`${((Date.now() - began) / 1000).toFixed(1).padStart(7)} ${text}\n`);
  await using cluster = await Cluster.start(say, { store });
  const summary = await breakAtRandom(cluster, {
    ...{ seed: Number(values.seed), durationMs },
    ...{ apiKey: await cluster.newTeam('random', LIMIT), limit: LIMIT },
    ...{ calmOperations: 3, faultsInRound: 6, longestFaultMs: 20_000, kinds },
    ...{ say, signal: interrupted.signal },
  });
  if (values.log !== undefined) await writeFile(values.log, cluster.log);
  process.stdout.write(`${values.json ? JSON.stringify(summary) : textOf(summary)}\n`);
  return summary.broken === undefined ? 0 : 1;
}

process.exitCode = await main();
