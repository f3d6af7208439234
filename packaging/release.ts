// Shows or makes a release: npm run release -- --help
import { readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { type ChangelogSection, parseChangelog } from './changelog.ts';
import { type MadePackage, makePackages } from './main.ts';
import { manifest } from './npm.ts';
import { evaluateRelease, type ReleaseCheck, type ReleaseFacts } from './release-checks.ts';
import { run } from './run.ts';
import { ROOT } from './stage.ts';

const USAGE = `Makes a release of what is committed: both packages, and a tag. Publishes nothing, but prints the commands that do.

  npm run release -- --dry-run [--json]
  npm run release

  --dry-run  show the version, the files, the tag and the section of CHANGELOG.md; change nothing but dist/packages
  --json     print one JSON object

Before: set the version in package.json, name what is below "Unreleased" in CHANGELOG.md after it, with a date, commit
both, and run npm test. Exits with 1 if something of this is missing.
`;

/** What a release is made of. */
interface Release {
  version: string;
  tag: string;
  commit: string;
  checks: ReleaseCheck[];
  packages: MadePackage[];
  /** The section of CHANGELOG.md that tells of it. */
  changes: ChangelogSection | null;
}

const git = (...args: string[]) => run('git', ['-C', ROOT, ...args]);

/** Where scripts/test.sh notes the last commit that passed. */
const TESTED = 'dist/.tested';

async function gather(): Promise<ReleaseFacts> {
  const { version } = await manifest();
  const [commit, status, tags] = await Promise.all([
    git('rev-parse', 'HEAD'),
    git('status', '--porcelain'),
    git('tag', '--list', 'v*'),
  ]);
  return {
    version,
    commit: commit.trim(),
    uncommitted: status.split('\n').filter(Boolean),
    tags: tags.split('\n').filter(Boolean),
    testedCommit: (await readFile(join(ROOT, TESTED), 'utf8').catch(() => '')).trim() || undefined,
    sections: parseChangelog(await readFile(join(ROOT, 'CHANGELOG.md'), 'utf8')),
  };
}

function render(release: Release): string {
  const { version, tag, commit, checks, packages, changes } = release;
  const files = packages.map(
    ({ file, bytes, sha256 }) =>
      `  ${relative(ROOT, file)}  ${(bytes / 1e6).toFixed(1)} MB  sha256 ${sha256}`,
  );
  return [
    `Islet ${version} of ${commit.slice(0, 12)}`,
    '',
    ...checks.map(({ ok, title, reason }) => `${ok ? '✓' : '✗'} ${title}${reason ? `: ${reason}` : ''}`),
    '',
    'Files',
    ...files,
    `Tag\n  ${tag}`,
    `Changes${changes?.date ? ` (${changes.version}, ${changes.date})` : ' (not released)'}`,
    ...(changes?.text ?? '(none)').split('\n').map((line) => (line ? `  ${line}` : '')),
  ].join('\n');
}

async function main(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      'dry-run': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return void process.stdout.write(USAGE);
  const facts = await gather();
  const checks = evaluateRelease(facts);
  const isReady = checks.every(({ ok }) => ok);
  const { version, commit, sections } = facts;
  const changes = sections.find((each) => each.version === version) ?? sections[0] ?? null;
  // What is refused is shown all the same by a dry run.
  const packages =
    isReady || values['dry-run'] ? await makePackages(['npm', 'debian'], join(ROOT, 'dist/packages')) : [];
  const release = { version, tag: `v${version}`, commit, checks, packages, changes };
  process.stdout.write(`${values.json ? JSON.stringify(release) : render(release)}\n`);
  if (!isReady) process.exitCode = 1;
  if (!isReady || values['dry-run']) return;
  await git('tag', '--annotate', release.tag, '--message', `Islet ${version}`);
  const [npm, debian] = packages.map(({ file }) => relative(ROOT, file));
  process.stdout.write(`
${release.tag} is made. To publish it:
  git push origin ${release.tag}
  npm publish ${npm}
and put ${debian} where its users get it.
`);
}

await main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`release: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
});
