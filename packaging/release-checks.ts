import { type ChangelogSection, changesOf } from './changelog.ts';

/** What a release is judged by. */
export interface ReleaseFacts {
  version: string;
  commit: string;
  /** Lines of `git status --porcelain`. */
  uncommitted: string[];
  /** `v1.2.3` and the like. */
  tags: string[];
  /** The last commit that passed all tests here; undefined if none did. */
  testedCommit: string | undefined;
  sections: ChangelogSection[];
}

export interface ReleaseCheck {
  ok: boolean;
  title: string;
  /** What is wrong, and what to do. */
  reason?: string;
}

/** Whether this may be released, thing by thing. */
export function evaluateRelease(facts: ReleaseFacts): ReleaseCheck[] {
  return [
    check('everything is committed', cleanness(facts)),
    check('the version is new', newness(facts)),
    check('CHANGELOG.md tells of it', changelog(facts)),
    check('all tests passed on this commit', tests(facts)),
  ];
}

function check(title: string, reason: string | undefined): ReleaseCheck {
  return reason === undefined ? { ok: true, title } : { ok: false, title, reason };
}

function cleanness({ uncommitted }: ReleaseFacts): string | undefined {
  if (uncommitted.length === 0) return undefined;
  const shown = uncommitted.slice(0, 5).map((line) => line.slice(3));
  return `commit or remove ${shown.join(', ')}${uncommitted.length > shown.length ? ' and others' : ''}`;
}

function newness({ version, tags }: ReleaseFacts): string | undefined {
  if (!isVersion(version)) return `package.json: "${version}" is not a version such as 1.2.3 or 1.2.3-rc.1`;
  if (tags.includes(`v${version}`)) return `v${version} is tagged already: raise the version in package.json`;
  const newer = tags.find((tag) => isVersion(tag.slice(1)) && compareVersions(tag.slice(1), version) > 0);
  return newer && `${newer} is newer than ${version}: raise the version in package.json`;
}

function changelog({ version, sections }: ReleaseFacts): string | undefined {
  const waiting = sections.find(
    (section) => section.version === 'Unreleased' && changesOf(section).length > 0,
  );
  const own = sections.find((section) => section.version === version);
  if (waiting) return `name what is below [Unreleased] after the version: ## [${version}] - YYYY-MM-DD`;
  if (!own) return `it has no section ## [${version}] - YYYY-MM-DD`;
  if (!own.date) return `the section [${version}] has no date`;
  return changesOf(own).length === 0 ? `the section [${version}] is empty` : undefined;
}

function tests({ commit, testedCommit, uncommitted }: ReleaseFacts): string | undefined {
  if (testedCommit === commit && uncommitted.length === 0) return undefined;
  return `run npm test on a clean checkout of ${commit.slice(0, 12)}; ${
    testedCommit ? `the last one that passed is ${testedCommit.slice(0, 12)}` : 'none has passed here'
  }`;
}

const VERSION = /^(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?$/;

function isVersion(text: string): boolean {
  return VERSION.test(text);
}

/** By semver's order: positive if `a` is newer. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [VERSION.exec(a) ?? [], VERSION.exec(b) ?? []];
  for (const i of [1, 2, 3]) {
    const difference = Number(left[i]) - Number(right[i]);
    if (difference !== 0) return difference;
  }
  return comparePrereleases(left[4], right[4]);
}

/** A version comes after its pre-releases. */
function comparePrereleases(a: string | undefined, b: string | undefined): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  const [left, right] = [a.split('.'), b.split('.')];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const [one, other] = [left[i], right[i]];
    if (one === undefined || other === undefined) return one === undefined ? -1 : 1;
    const isNumber = [one, other].map((part) => /^\d+$/.test(part));
    if (isNumber[0] !== isNumber[1]) return isNumber[0] ? -1 : 1;
    const difference = isNumber[0] ? Number(one) - Number(other) : one < other ? -1 : one > other ? 1 : 0;
    if (difference !== 0) return difference;
  }
  return 0;
}
