/** One version in CHANGELOG.md, which has the form of keepachangelog.com. */
export interface ChangelogSection {
  /** `Unreleased` or a version. */
  version: string;
  /** YYYY-MM-DD; undefined for what is not released. */
  date: string | undefined;
  /** What is below its heading. */
  text: string;
}

/** @throws Error for a heading of another form. */
export function parseChangelog(markdown: string): ChangelogSection[] {
  const [, ...parts] = `\n${markdown}`.split(/\n(?=## )/);
  return parts.map((part) => {
    const end = part.indexOf('\n');
    const heading = end === -1 ? part : part.slice(0, end);
    const match = /^## \[([^\]]+)\](?: - (\d{4}-\d{2}-\d{2}))?$/.exec(heading);
    if (!match?.[1]) throw new Error(`CHANGELOG.md: not of the form "## [version] - YYYY-MM-DD": ${heading}`);
    return { version: match[1], date: match[2], text: end === -1 ? '' : part.slice(end).trim() };
  });
}

/** What changed, one line each, without Markdown's marks. */
export function changesOf({ text }: ChangelogSection): string[] {
  return text
    .split(/\n(?=- )/)
    .filter((part) => part.startsWith('- '))
    .map((part) => {
      const [bullet = ''] = part.split(/\n(?=\n|#)/);
      return bullet.slice(2).replaceAll(/\s+/g, ' ').trim();
    });
}
