// Runs all end-to-end tests, as many groups of files at once as there are cores (four at most): scripts/end-to-end.mjs RESULTS.
// Most of their time they wait: for a sandbox, a build, the end of a time limit. The files of a group run one by one against
// an Islet of their own, so no two files that run at once have anything in common. What a group says is printed when it is
// over; its report is put into the folder RESULTS. Exits with 1 if any of them failed.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const [results] = process.argv.slice(2);
if (results === undefined) throw new Error('usage: scripts/end-to-end.mjs RESULTS');

const LANES = Math.min(availableParallelism(), 4);
/** A lane takes the next group when it is free: none has to know how long a file takes. */
const GROUPS = 3 * LANES;

const files = readdirSync(join(root, 'e2e'), { recursive: true })
  .filter(
    (name) =>
      name.endsWith('.test.ts') &&
      !/^(microvm|rootless|desktop|examples|interpreter|node_modules)\//.test(name),
  )
  .sort();
/** Files of one folder take alike, so each group gets some of every folder. */
const group = (number) => files.filter((_, index) => index % GROUPS === number).map((name) => `e2e/${name}`);

// All of the SDK's tests run in these modes with `npm run test:modes`.
const inMode = ['e2e/sdk/watch.test.ts'];
const runs = [
  // One Islet for them all: their template takes minutes to build.
  { title: 'tests of the code interpreter', name: 'interpreter', words: ['e2e', 'e2e/interpreter/'] },
  ...Array.from({ length: GROUPS }, (_, number) => ({
    title: `end-to-end tests, ${number + 1} of ${GROUPS}`,
    name: `e2e-${number + 1}`,
    words: ['e2e', ...group(number)],
  })),
  {
    title: 'end-to-end tests on virtual machines',
    name: 'microvm',
    words: ['microvm'],
    env: { ISLET_ISOLATION: 'microvm' },
  },
  ...['resumed', 'forked'].map((mode) => ({
    title: `some tests of the SDK, on ${mode} sandboxes`,
    name: mode,
    words: [mode, ...inMode],
  })),
];

/** The exit code. */
function run({ title, name, words, env }) {
  console.log(`== ${title}: begun`);
  const reporters = ['--reporter=default', '--reporter=./scripts/test-report.mjs'];
  const args = ['--no-install', 'vitest', 'run', '--tagsFilter=!long', ...reporters, '--project', ...words];
  const child = spawn('npx', args, {
    cwd: root,
    env: { ...process.env, ...env, ISLET_TEST_REPORT: join(results, `${name}.json`) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => said.push(bytes));
  return new Promise((done) => {
    child.once('error', (error) => said.push(`${error}\n`));
    child.once('close', (code) => {
      process.stdout.write(`\n== ${title}\n${Buffer.concat(said.map((part) => Buffer.from(part)))}`);
      if (code !== 0) console.log('== failed');
      done(code);
    });
  });
}

const codes = [];
const lane = async () => {
  for (let next = runs.shift(); next; next = runs.shift()) codes.push(await run(next));
};
await Promise.all(Array.from({ length: LANES }, lane));
process.exitCode = codes.every((code) => code === 0) ? 0 : 1;
