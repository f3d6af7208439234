import { describe, expect, it } from 'vitest';
import { createProgressParser } from './progress.ts';

/** mmdebstrap's output for two batches of `sizes` packages, shortened to the lines that matter. */
function transcript(sizes: number[]): string[] {
  const lines = ['I: running apt-get update...', 'Get:1 http://m.example/debian trixie InRelease [140 kB]'];
  for (const size of sizes) {
    lines.push(`0 upgraded, ${size} newly installed, 0 to remove and 0 not upgraded.`);
    const each = (line: (name: string) => string) => {
      for (let i = 0; i < size; i++) lines.push(line(`pkg${i}`));
    };
    each((name) => `Get:1 http://m.example/debian trixie/main amd64 ${name} amd64 1.0 [1 kB]`);
    each((name) => `Unpacking ${name} (1.0) ...`);
    each((name) => `Setting up ${name} (1.0) ...`);
  }
  return [...lines, 'I: running --customize-hook in shell: setup', 'I: success in 6.6 seconds'];
}

describe('progress of a root file system', () => {
  it('never falls, says something in every phase, and ends near the whole', () => {
    const parse = createProgressParser();
    const news = transcript([20, 200]).flatMap((line) => parse(line) ?? []);
    const shares = news.map(({ progress }) => progress);
    expect(shares).toEqual([...shares].sort((a, b) => a - b));
    expect(shares.at(0)).toBe(0);
    expect(shares.at(-1)).toBeGreaterThan(0.95);
    expect(shares.every((share) => share < 1)).toBe(true);
    expect(news.some(({ message }) => message === 'unpacking packages (100/200)')).toBe(true);
  });

  it('is about halfway when half of the packages are unpacked', () => {
    const parse = createProgressParser();
    const news = transcript([20, 200]).flatMap((line) => parse(line) ?? []);
    const halfway = news.find(({ message }) => message === 'unpacking packages (100/200)');
    expect(halfway?.progress).toBeGreaterThan(0.4);
    expect(halfway?.progress).toBeLessThan(0.75);
  });

  it('does not count package lists as packages', () => {
    const parse = createProgressParser();
    parse('I: running apt-get update...');
    expect(parse('Get:1 http://m.example/debian trixie InRelease [140 kB]')).toBeUndefined();
  });

  it('is silent about everything else', () => {
    const parse = createProgressParser();
    expect(parse('Reading package lists...')).toBeUndefined();
    expect(parse('Setting up early (1) ...')).toBeUndefined();
  });
});
