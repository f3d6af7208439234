import { existsSync } from 'node:fs';
import { mkdir, readFile, rename } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { types } from 'node:util';
import { AwakeTime } from './awake-time.ts';
import { bundle, runJazzer } from './jazzer.ts';
import { DEFAULT_HANG_S, DEFAULT_MAX_BYTES } from './target.ts';
import { crashesDir, filesIn, loadTarget, seedsDir } from './targets.ts';

const ROOT = import.meta.dirname;

/** Of the process: a target's own limits are lower. */
const MEMORY_MB = 2048;
/** For making an input that breaks something shorter. */
const SHORTEN_S = 30;

export interface FuzzLimits {
  seconds: number;
  seed: number | undefined;
}

export interface FuzzResult {
  target: string;
  runs: number;
  /** Edges of the instrumented code that were reached. */
  edges: number;
  newSeeds: number;
  /** Files, as seen from here. */
  crashes: string[];
  /** What broke once and not again, such as a process that was stopped for longer than an input may take; kept aside. */
  accidents: string[];
}

/** Runs libFuzzer on a target, in a process of its own. What it finds is in the target's folder when this returns. */
export async function fuzz(name: string, limits: FuzzLimits): Promise<FuzzResult> {
  const work = join(ROOT, '.work', name);
  const corpus = join(work, 'corpus');
  for (const dir of [corpus, seedsDir(name), crashesDir(name)]) await mkdir(dir, { recursive: true });
  const run = await jazzerOn(name, work);
  const seedsBefore = paths(seedsDir(name)).length;
  const total = { runs: 0, edges: 0 };
  const crashes: string[] = [];
  const accidents: string[] = [];
  using awake = new AwakeTime();
  for (let mayGoOn = true; mayGoOn && awake.seconds < limits.seconds; ) {
    const before = paths(crashesDir(name));
    const seconds = Math.ceil(limits.seconds - awake.seconds);
    await run('run.log', [corpus, seedsDir(name)], lookFor({ ...limits, seconds }, name));
    const log = await readFile(join(work, 'run.log'), 'utf8');
    total.runs += lastNumber(/^#(\d+)\s|number_of_executed_units: (\d+)/gm, log);
    total.edges = Math.max(total.edges, lastNumber(/ cov: (\d+) /g, log));
    const found = paths(crashesDir(name)).filter((path) => !before.includes(path));
    for (const path of found) {
      if (await breaksAgain(path, run)) crashes.push(path);
      else accidents.push(await putAside(path, work));
    }
    // What ended it was none of the target's faults: the rest of the time is the target's still.
    mayGoOn = crashes.length === 0 && found.length > 0;
  }
  // Without counters: what runs another number of times is no other code.
  if (crashes.length === 0) await run('merge.log', [seedsDir(name), corpus], ['-merge=1', '-use_counters=0']);
  const fromHere = (path: string) => relative(process.cwd(), path);
  return {
    target: name,
    ...total,
    newSeeds: paths(seedsDir(name)).length - seedsBefore,
    crashes: crashes.map(fromHere),
    accidents: accidents.map(fromHere),
  };
}

/** Runs libFuzzer with a log in the work folder. Gives its exit status. */
type Run = (log: string, dirs: string[], options: string[]) => Promise<number | null>;

async function jazzerOn(name: string, work: string): Promise<Run> {
  const { hangS = DEFAULT_HANG_S, maxBytes = DEFAULT_MAX_BYTES, run: read } = await loadTarget(name);
  const program = await bundle(name, work);
  // A good deal faster, if nothing has to be waited for.
  const sync = types.isAsyncFunction(read) ? [] : ['--sync'];
  // Where something is waited for, jazzer.js has a limit of its own, in ms.
  const common = [...sync, `--timeout=${1000 * hangS}`, '--'];
  common.push(`-max_len=${maxBytes}`, `-timeout=${hangS}`, `-rss_limit_mb=${MEMORY_MB}`);
  return (log, dirs, options) =>
    runJazzer(join(work, log), [program, ...dirs, '--includes', program, ...common, ...options]);
}

function lookFor({ seconds, seed }: FuzzLimits, name: string): string[] {
  const options = [`-max_total_time=${seconds}`, `-artifact_prefix=${crashesDir(name)}/`];
  return [...options, '-print_final_stats=1', ...(seed === undefined ? [] : [`-seed=${seed}`])];
}

async function breaksAgain(found: string, run: Run): Promise<boolean> {
  if ((await run('again.log', [found], [])) === 0) return false;
  await shorten(found, run);
  return true;
}

async function putAside(found: string, work: string): Promise<string> {
  const aside = join(work, basename(found));
  await rename(found, aside);
  return aside;
}

/** What libFuzzer said last; 0 if it said nothing. */
function lastNumber(pattern: RegExp, log: string): number {
  const found = [...log.matchAll(pattern)].at(-1);
  return Number(found?.[1] ?? found?.[2] ?? 0);
}

/** Puts the shortest input that breaks the same in the place of the first one. */
async function shorten(crash: string, run: Run): Promise<void> {
  const shorter = `${crash}.shorter`;
  await run(
    'shorten.log',
    [crash],
    ['-minimize_crash=1', `-max_total_time=${SHORTEN_S}`, `-exact_artifact_path=${shorter}`],
  );
  if (existsSync(shorter)) await rename(shorter, crash);
}

function paths(dir: string): string[] {
  return filesIn(dir).map(({ path }) => path);
}
