/** One thing worth telling about a build under way. */
export interface RootfsProgress {
  message: string;
  /** 0…1, never falling. */
  progress: number;
}

/** Shares of the whole: measured on builds of the base template. */
const ESSENTIAL_SHARE = 0.15;
const INCLUDED_SHARE = 0.8;
const READ_LISTS = 0.03;

interface Batch {
  from: number;
  share: number;
  packages: number;
  fetched: number;
  unpacked: number;
  configured: number;
}

/**
 * Follows mmdebstrap's verbose output. It installs in two batches, the essential packages and the rest, and tells the size of
 * each only when it begins; in a batch every package is fetched, unpacked and configured.
 */
export function createProgressParser(): (line: string) => RootfsProgress | undefined {
  let batch: Batch | undefined;
  let batches = 0;
  let last = 0;

  const report = (message: string, progress: number): RootfsProgress => {
    last = Math.max(last, Math.min(progress, 0.99));
    return { message, progress: last };
  };
  const within = (message: (batch: Batch) => string): RootfsProgress | undefined => {
    if (!batch) return undefined;
    const done = batch.fetched + batch.unpacked + batch.configured;
    return report(message(batch), batch.from + batch.share * Math.min(1, done / (3 * batch.packages)));
  };

  return (line) => {
    const count = /^\d+ upgraded, (\d+) newly installed/.exec(line);
    if (count) {
      const first = batches++ === 0;
      const packages = Math.max(1, Number(count[1]));
      const [from, share] = first
        ? [READ_LISTS, ESSENTIAL_SHARE]
        : [READ_LISTS + ESSENTIAL_SHARE, INCLUDED_SHARE];
      batch = { from, share, packages, fetched: 0, unpacked: 0, configured: 0 };
      return report(`installing ${packages} packages`, from);
    }
    if (/^I: running apt-get update/.test(line)) return report('reading package lists', 0);
    if (batch && /^Get:\d+ /.test(line)) {
      batch.fetched++;
      return within((now) => `fetching packages (${now.fetched}/${now.packages})`);
    }
    if (batch && line.startsWith('Unpacking ')) {
      batch.unpacked++;
      return within((now) => `unpacking packages (${now.unpacked}/${now.packages})`);
    }
    if (batch && line.startsWith('Setting up ')) {
      batch.configured++;
      return within((now) => `setting up packages (${now.configured}/${now.packages})`);
    }
    if (/^I: running --customize-hook/.test(line)) return report('tidying up', 0.98);
    return undefined;
  };
}
