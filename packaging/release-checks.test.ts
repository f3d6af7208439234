import { describe, expect, it } from 'vitest';
import { parseChangelog } from './changelog.ts';
import { compareVersions, evaluateRelease, type ReleaseFacts } from './release-checks.ts';

const CHANGELOG = `# Changelog

## [Unreleased]

## [1.2.0] - 2026-03-04

### Added

- A thing
  over two lines.

## [1.1.0] - 2026-01-02

- Another.
`;

const facts: ReleaseFacts = {
  version: '1.2.0',
  commit: 'c0ffee',
  uncommitted: [],
  tags: ['v1.1.0'],
  testedCommit: 'c0ffee',
  sections: parseChangelog(CHANGELOG),
};

/** Why a release of these facts is refused. */
const refusals = (change: Partial<ReleaseFacts> = {}) =>
  evaluateRelease({ ...facts, ...change }).flatMap(({ ok, reason }) => (ok ? [] : [reason]));

describe('a release', () => {
  it('is made of what is committed, new, told of and tested', () => {
    expect(refusals()).toEqual([]);
  });

  it('waits for what is not committed, whose tests say nothing', () => {
    expect(refusals({ uncommitted: [' M islet', '?? notes'] })).toEqual([
      'commit or remove islet, notes',
      expect.stringContaining('npm test'),
    ]);
  });

  it.each([
    [['v1.2.0'], /tagged already/],
    [['v1.10.0', 'v1.1.0'], /v1\.10\.0 is newer than 1\.2\.0/],
  ])('has a version that is newer than %j', (tags, reason) => {
    expect(refusals({ tags })).toEqual([expect.stringMatching(reason)]);
  });

  it('has a version that npm and Debian take', () => {
    expect(refusals({ version: 'next' })[0]).toMatch(/"next" is not a version/);
  });

  it.each([
    ['## [Unreleased]\n\n- A thing.\n', /name what is below \[Unreleased\]/],
    ['## [1.1.0] - 2026-01-02\n\n- Another.\n', /no section ## \[1\.2\.0\]/],
    ['## [1.2.0]\n\n- A thing.\n', /has no date/],
    ['## [1.2.0] - 2026-03-04\n\n## [1.1.0] - 2026-01-02\n\n- Another.\n', /is empty/],
  ])('is told of in CHANGELOG.md, not as in %j', (markdown, reason) => {
    expect(refusals({ sections: parseChangelog(markdown) })).toEqual([expect.stringMatching(reason)]);
  });

  it('has passed the tests, this commit of it', () => {
    expect(refusals({ testedCommit: undefined })).toEqual([expect.stringMatching(/none has passed here/)]);
    expect(refusals({ testedCommit: 'decade' })).toEqual([expect.stringMatching(/that passed is decade/)]);
  });
});

describe('the order of versions', () => {
  it("is semver's", () => {
    const ordered = ['0.9.9', '0.10.0', '1.0.0-alpha', '1.0.0-alpha.1', '1.0.0-rc.2', '1.0.0-rc.10', '1.0.0'];
    for (const [i, version] of ordered.entries()) {
      expect(compareVersions(version, version)).toBe(0);
      for (const newer of ordered.slice(i + 1)) {
        expect([version, newer, Math.sign(compareVersions(version, newer))]).toEqual([version, newer, -1]);
        expect(Math.sign(compareVersions(newer, version))).toBe(1);
      }
    }
  });
});

describe('the changelog', () => {
  it('refuses a heading that no program could read', () => {
    expect(() => parseChangelog('## 1.2.0 (March)\n')).toThrow(/not of the form/);
  });
});
