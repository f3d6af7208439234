import { spawn } from 'node:child_process';
import { createWriteStream, existsSync } from 'node:fs';
import { mkdir, readFile, rename } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { finished } from 'node:stream/promises';
import { pathToFileURL } from 'node:url';
import { types } from 'node:util';
import { build, type Plugin } from 'esbuild';
import { DEFAULT_HANG_S, DEFAULT_MAX_BYTES } from './target.ts';
import { crashesDir, filesIn, loadTarget, seedsDir, targetFile } from './targets.ts';

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
export async function fuzz(name: string, { seconds, seed }: FuzzLimits): Promise<FuzzResult> {
  const work = join(ROOT, '.work', name);
  const corpus = join(work, 'corpus');
  for (const dir of [corpus, seedsDir(name), crashesDir(name)]) await mkdir(dir, { recursive: true });
  const { hangS = DEFAULT_HANG_S, maxBytes = DEFAULT_MAX_BYTES, run: read } = await loadTarget(name);
  const program = await bundle(name, work);
  const before = { seeds: paths(seedsDir(name)), crashes: paths(crashesDir(name)) };
  // A good deal faster, where nothing has to be waited for.
  const sync = types.isAsyncFunction(read) ? [] : ['--sync'];
  // Where something is waited for, jazzer.js has a limit of its own, in ms.
  const common = [...sync, `--timeout=${1000 * hangS}`, '--'];
  common.push(`-max_len=${maxBytes}`, `-timeout=${hangS}`, `-rss_limit_mb=${MEMORY_MB}`);
  const run = (log: string, dirs: string[], options: string[]) =>
    runJazzer(join(work, log), [program, ...dirs, '--includes', program, ...common, ...options]);

  await run(
    'run.log',
    [corpus, seedsDir(name)],
    [
      `-max_total_time=${seconds}`,
      `-artifact_prefix=${crashesDir(name)}/`,
      '-print_final_stats=1',
      ...(seed === undefined ? [] : [`-seed=${seed}`]),
    ],
  );
  const log = await readFile(join(work, 'run.log'), 'utf8');
  const crashes: string[] = [];
  const accidents: string[] = [];
  for (const found of paths(crashesDir(name)).filter((path) => !before.crashes.includes(path))) {
    if ((await run('again.log', [found], [])) !== 0) {
      await shorten(found, run);
      crashes.push(found);
    } else {
      const aside = join(work, basename(found));
      await rename(found, aside);
      accidents.push(aside);
    }
  }
  // Without counters: what runs another number of times is no other code.
  if (crashes.length === 0) await run('merge.log', [seedsDir(name), corpus], ['-merge=1', '-use_counters=0']);
  const fromHere = (path: string) => relative(process.cwd(), path);
  return {
    target: name,
    runs: lastNumber(/^#(\d+)\s|number_of_executed_units: (\d+)/gm, log),
    edges: lastNumber(/ cov: (\d+) /g, log),
    newSeeds: paths(seedsDir(name)).length - before.seeds.length,
    crashes: crashes.map(fromHere),
    accidents: accidents.map(fromHere),
  };
}

/** What libFuzzer said last; 0 where it said nothing. */
function lastNumber(pattern: RegExp, log: string): number {
  const found = [...log.matchAll(pattern)].at(-1);
  return Number(found?.[1] ?? found?.[2] ?? 0);
}

/** Puts the shortest input that breaks the same in the place of the first one. */
async function shorten(
  crash: string,
  run: (log: string, dirs: string[], options: string[]) => Promise<number | null>,
): Promise<void> {
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

/** The instrumentation wants CommonJS; what npm installs is not instrumented. */
async function bundle(name: string, work: string): Promise<string> {
  const outfile = join(work, 'target.cjs');
  await build({
    stdin: {
      resolveDir: ROOT,
      loader: 'ts',
      contents: `
        import { guarded } from './guard.ts';
        import { target } from ${JSON.stringify(targetFile(name))};
        export const fuzz = guarded(target);`,
    },
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'cjs',
    plugins: [NPM_EXTERNAL, OWN_PLACE],
    logLevel: 'warning',
  });
  return outfile;
}

const NPM_EXTERNAL: Plugin = {
  name: 'npm-external',
  setup: ({ onResolve }) =>
    onResolve({ filter: /^[^./]/ }, ({ kind, path }) =>
      kind === 'entry-point' || path.startsWith('@islet/') ? undefined : { path, external: true },
    ),
};

/** What a file finds beside itself it finds there, not beside the bundle. */
const OWN_PLACE: Plugin = {
  name: 'own-place',
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.(?:ts|mjs)$/ }, async ({ path }) => ({
      loader: 'ts',
      contents: (await readFile(path, 'utf8'))
        .replaceAll('import.meta.dirname', () => JSON.stringify(dirname(path)))
        .replaceAll('import.meta.url', () => JSON.stringify(pathToFileURL(path).href)),
    })),
};

/** Gives the exit status; null where it was killed. */
async function runJazzer(log: string, args: readonly string[]): Promise<number | null> {
  const jazzer = createRequire(import.meta.url).resolve('@jazzer.js/core/dist/cli.js');
  const to = createWriteStream(log);
  const child = spawn(process.execPath, [jazzer, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.pipe(to, { end: false });
  child.stderr.pipe(to, { end: false });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  to.end();
  await finished(to);
  return status;
}
