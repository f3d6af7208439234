// Makes what Islet is installed from: npm run package -- --help
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { makeDebianPackage } from './debian.ts';
import { makeNpmPackage } from './npm.ts';
import { run } from './run.ts';
import { ROOT, stage } from './stage.ts';

const MAKERS = { npm: makeNpmPackage, debian: makeDebianPackage };
type Kind = keyof typeof MAKERS;

const USAGE = `Makes an npm package and a Debian package of this checkout.

  npm run package -- [--only npm|debian] [--out <dir>] [--json]

  --only  one of them
  --out   where they are put (dist/packages)
  --json  print one JSON object; progress goes to standard error in any case

Both hold all that Islet needs beside Node.js, and build nothing where they are installed. They are for this machine's
architecture. The same commit makes the same bytes: SOURCE_DATE_EPOCH is the commit's time if it is not set.
`;

const say = (text: string) => process.stderr.write(`${text}\n`);

/** A file that was made. */
export interface MadePackage {
  kind: Kind;
  file: string;
  bytes: number;
  sha256: string;
}

/** Makes packages; `kinds` says which. */
export async function makePackages(kinds: readonly Kind[], outDir: string): Promise<MadePackage[]> {
  const epoch = await sourceDate();
  await mkdir(join(ROOT, 'dist'), { recursive: true });
  await mkdir(outDir, { recursive: true });
  // Below the checkout: the templates that ship are made with the SDK in its node_modules.
  const work = await mkdtemp(join(ROOT, 'dist/.package-'));
  try {
    say('building');
    const staged = join(work, 'staged');
    await stage(staged);
    const made: MadePackage[] = [];
    for (const kind of kinds) {
      say(`making the ${kind} package`);
      await mkdir(join(work, kind));
      made.push(await described(kind, await MAKERS[kind](staged, join(work, kind), outDir, epoch)));
    }
    return made;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Unix time in seconds of what is packed. */
async function sourceDate(): Promise<number> {
  const given = process.env.SOURCE_DATE_EPOCH;
  const text = given ?? (await run('git', ['-C', ROOT, 'log', '-1', '--format=%ct']));
  const seconds = Number(text.trim());
  if (!Number.isSafeInteger(seconds) || seconds < 0) {
    throw new Error(`SOURCE_DATE_EPOCH must be a time in seconds, not "${given}"`);
  }
  return seconds;
}

async function described(kind: Kind, file: string): Promise<MadePackage> {
  const sha256 = createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
  return { kind, file, bytes: (await stat(file)).size, sha256 };
}

async function main(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string' },
      out: { type: 'string', default: join(ROOT, 'dist/packages') },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return void process.stdout.write(USAGE);
  const kinds = (Object.keys(MAKERS) as Kind[]).filter((kind) => !values.only || kind === values.only);
  if (kinds.length === 0) throw new Error(`--only takes npm or debian, not "${values.only}"`);
  const packages = await makePackages(kinds, resolve(values.out));
  if (values.json) return void process.stdout.write(`${JSON.stringify({ packages })}\n`);
  for (const { file, bytes, sha256 } of packages) {
    process.stdout.write(`${file}  ${(bytes / 1e6).toFixed(1)} MB  sha256 ${sha256}\n`);
    say(
      `  install it with: ${file.endsWith('.deb') ? 'apt-get install' : 'npm install --global'} ./${basename(file)}`,
    );
  }
}

if (process.argv[1] === import.meta.filename) {
  await main(process.argv.slice(2)).catch((error: unknown) => {
    say(`package: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  });
}
