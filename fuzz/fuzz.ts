import { spawn } from 'node:child_process';
import { createWriteStream, existsSync } from 'node:fs';
import { mkdir, readFile, rename } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { finished } from 'node:stream/promises';
import { types } from 'node:util';
import { build } from 'esbuild';
import { DEFAULT_MAX_BYTES } from './target.ts';
import { crashesDir, filesIn, loadTarget, seedsDir, targetFile } from './targets.ts';

const ROOT = import.meta.dirname;

/** An input that takes longer is a hang: guards measure what is shorter. */
const HANG_S = 20;
/** Of the process: a target's own limits are lower. */
const MEMORY_MB = 2048;
/** For making an input that breaks something shorter. */
const SHORTEN_S = 30;

export interface FuzzLimits {
  seconds: number;
  seed: number | undefined;
}

export interface FuzzResult {
  runs: number;
  newSeeds: number;
  /** Files, as seen from here. */
  crashes: string[];
}

/** Runs libFuzzer on a target, in a process of its own. What it finds is in the target's folder when this returns. */
export async function fuzz(name: string, { seconds, seed }: FuzzLimits): Promise<FuzzResult> {
  const work = join(ROOT, '.work', name);
  const corpus = join(work, 'corpus');
  for (const dir of [corpus, seedsDir(name), crashesDir(name)]) await mkdir(dir, { recursive: true });
  const { maxBytes = DEFAULT_MAX_BYTES, run: read } = await loadTarget(name);
  const program = await bundle(name, work);
  const before = { seeds: paths(seedsDir(name)), crashes: paths(crashesDir(name)) };
  // A good deal faster, where nothing has to be waited for.
  const sync = types.isAsyncFunction(read) ? [] : ['--sync'];
  const common = [...sync, '--', `-max_len=${maxBytes}`, `-timeout=${HANG_S}`, `-rss_limit_mb=${MEMORY_MB}`];
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
  const crashes = paths(crashesDir(name)).filter((path) => !before.crashes.includes(path));
  for (const crash of crashes) await shorten(crash, run);
  // Without counters: what runs another number of times is no other code.
  if (crashes.length === 0) await run('merge.log', [seedsDir(name), corpus], ['-merge=1', '-use_counters=0']);
  const log = await readFile(join(work, 'run.log'), 'utf8');
  return {
    runs: Number(/number_of_executed_units: (\d+)/.exec(log)?.[1] ?? 0),
    newSeeds: paths(seedsDir(name)).length - before.seeds.length,
    crashes: crashes.map((path) => relative(process.cwd(), path)),
  };
}

/** Puts the shortest input that breaks the same in the place of the first one. */
async function shorten(
  crash: string,
  run: (log: string, dirs: string[], options: string[]) => Promise<void>,
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
    banner: { js: `const bundleUrl = require('node:url').pathToFileURL(__filename).href;` },
    define: { 'import.meta.url': 'bundleUrl', 'import.meta.dirname': '__dirname' },
    plugins: [
      {
        name: 'npm-external',
        setup: ({ onResolve }) =>
          onResolve({ filter: /^[^./]/ }, ({ kind, path }) =>
            kind === 'entry-point' || path.startsWith('@islet/') ? undefined : { path, external: true },
          ),
      },
    ],
    logLevel: 'warning',
  });
  return outfile;
}

async function runJazzer(log: string, args: readonly string[]): Promise<void> {
  const jazzer = createRequire(import.meta.url).resolve('@jazzer.js/core/dist/cli.js');
  const to = createWriteStream(log);
  const child = spawn(process.execPath, [jazzer, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.pipe(to, { end: false });
  child.stderr.pipe(to, { end: false });
  // How it ended says nothing that its files do not.
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => resolve());
  });
  to.end();
  await finished(to);
}
