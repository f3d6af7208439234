// Measures what one team's abuses cost another: npm run test:fairness -- --help
import { writeFile } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { ABUSES } from '../e2e/hostile/abuses.ts';
import { newTeam } from '../e2e/setup/control-plane.ts';
import type { InstanceAccess } from '../e2e/setup/instance.ts';
import { IdleGroup } from './host/idle-group.ts';
import { BenchIslet } from './islet/bench-islet.ts';
import { beside, withAttacker } from './neighbour/beside.ts';
import { compare, type Line, renderLines } from './neighbour/fairness.ts';
import { addSeen, Neighbour, nothingSeen } from './neighbour/neighbour.ts';

/** Most that a neighbour's slowest answers may take longer beside an abuse. */
const MOST = 1.5;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

const USAGE = `Measures what one team does beside another that abuses Islet in each of ${ABUSES.length} ways, against what it does alone.

  npm run test:fairness -- [--seconds <n>] [--only <abuse>[,<abuse>…]] [--json <file>]

  --seconds  that the neighbour works beside each abuse, and as long alone before and after it (default 30)
  --only     beside these abuses only:
${ABUSES.map(({ name }) => `               ${name}`).join('\n')}
  --json     write the figures there as well

Needs root. Exits with 1 if a p99 beside an abuse is more than ${MOST} times the one alone, or if a request failed.
`;

interface Options {
  seconds: number;
  abuses: readonly string[];
  json: string | undefined;
}

/** Undefined: the usage was asked for. @throws Error if it makes no sense */
function readOptions(args: string[]): Options | undefined {
  const { values } = parseArgs({
    args,
    options: {
      seconds: { type: 'string', default: '30' },
      only: { type: 'string', multiple: true, default: [] },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const seconds = Number(values.seconds);
  if (!(seconds >= 1 && seconds <= 3_600)) throw new Error('--seconds takes a number from 1 to 3600');
  const known = ABUSES.map(({ name }) => name);
  // A name may hold a comma: 4,000 connections.
  const isAsked = (name: string) => values.only.some((text) => `,${text},`.includes(`,${name},`));
  const abuses = values.only.length === 0 ? known : known.filter(isAsked);
  if (abuses.length === 0) throw new Error(`--only names no abuse; there are: ${known.join('; ')}`);
  return { seconds, abuses, json: values.json };
}

async function measure(
  { seconds, abuses }: Options,
  access: InstanceAccess,
  signal: AbortSignal,
): Promise<{ lines: Line[]; failures: string[] }> {
  const pace = { signal, now: () => performance.now(), progress: () => undefined };
  const ms = seconds * 1_000;
  const lines: Line[] = [];
  const failures: string[] = [];
  await using team = await newTeam(access, 'abuser');
  await using group = await IdleGroup.open(`fairness-${process.pid}`);
  await using neighbour = await Neighbour.open(access);
  await neighbour.work(0, pace);
  for (const [index, name] of abuses.entries()) {
    signal.throwIfAborted();
    try {
      const alone = nothingSeen();
      addSeen(alone, await neighbour.work(ms / 2, pace));
      const one = await withAttacker(access, team, (sandboxId) =>
        beside(name, { access, team, sandboxId, group }, neighbour, { ...pace, ms }),
      );
      addSeen(alone, await neighbour.work(ms / 2, pace));
      const compared = compare(one, alone, MOST);
      lines.push(...compared);
      process.stderr.write(`${index + 1}/${abuses.length}\n${renderLines(compared)}`);
    } catch (error) {
      signal.throwIfAborted();
      failures.push(name);
      process.stderr.write(`beside ${name}: ${String(error)}\n`);
    }
  }
  return { lines, failures };
}

async function main(): Promise<number> {
  let options: Options | undefined;
  try {
    options = readOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return EXIT_USAGE;
  }
  if (!options) {
    process.stdout.write(USAGE);
    return 0;
  }
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => stop.abort(new Error(name)));
  const busy = `load average ${loadavg()[0]?.toFixed(1)} on ${availableParallelism()} processors before the start`;
  process.stderr.write(`${busy}; starting Islet on an empty data directory\n`);
  await using islet = await BenchIslet.start(stop.signal);
  const { lines, failures } = await measure(options, islet.access, stop.signal);
  const over = lines.filter(({ isFair }) => !isFair);
  if (options.json !== undefined) {
    await writeFile(options.json, `${JSON.stringify({ busy, lines, failures }, null, 2)}\n`);
  }
  process.stdout.write(
    `\n${renderLines(lines)}\n${busy}\n${lines.length - over.length} of ${lines.length} are within ${MOST} times of what it is alone` +
      `${failures.length > 0 ? `; failed beside: ${failures.join('; ')}` : ''}\n`,
  );
  return over.length + failures.length > 0 ? EXIT_FAILED : 0;
}

process.exitCode = await main();
