import { expect, it } from 'vitest';
import { outputLines } from './output-lines.ts';

const linesOf = (...chunks: (string | Buffer)[]) => {
  const lines: string[] = [];
  const output = outputLines((line) => lines.push(line));
  for (const chunk of chunks) output.push(Buffer.from(chunk));
  output.end();
  return lines;
};

it('cuts output into lines wherever it is cut in transit, also within a character', () => {
  const bytes = Buffer.from('grün\nblau');
  expect(linesOf(bytes.subarray(0, 3), bytes.subarray(3))).toEqual(['grün', 'blau']);
});

it('keeps what a progress bar shows last, and empty lines', () => {
  expect(linesOf('10%\r50%\r100%\r\n', '\n', 'done\n')).toEqual(['100%', '', 'done']);
});

it('does not gather a line without end', () => {
  const lines = linesOf('x'.repeat(40_000));
  expect(lines.map((line) => line.length)).toEqual([16_384, 16_384, 7232]);
});
