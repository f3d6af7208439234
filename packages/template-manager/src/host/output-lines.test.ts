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

it('counts the lines of a command that writes without end, and takes no longer for them', () => {
  const lines: string[] = [];
  const output = outputLines((line) => lines.push(line));
  const empty = Buffer.alloc(1024 ** 2, '\n');
  for (let sent = 0; sent < 64; sent++) output.push(empty);
  output.end();
  expect(lines).toHaveLength(20_001);
  expect(lines.at(-1)).toBe(`… and ${64 * 1024 ** 2 - 20_000} more lines`);
});

it('takes lines of carriage returns in linear time', () => {
  const lines: string[] = [];
  const output = outputLines((line) => lines.push(line));
  const line = Buffer.from(`${'\r'.repeat(16_000)}x\n`);
  for (let sent = 0; sent < 19_000; sent++) output.push(line);
  output.push(Buffer.from(`${'\r'.repeat(1024 ** 2)}y\n`));
  output.end();
  expect(lines[0]).toBe('x');
  expect(lines.at(-1)).toBe('y');
});

it('cuts a line that is too long and ends, as one that does not', () => {
  expect(linesOf(`${'x'.repeat(20_000)}\ny`).map((line) => line.length)).toEqual([16_384, 3616, 1]);
});

it('does not gather a line without end', () => {
  const lines = linesOf('x'.repeat(40_000));
  expect(lines.map((line) => line.length)).toEqual([16_384, 16_384, 7232]);
});
