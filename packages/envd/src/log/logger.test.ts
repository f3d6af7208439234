import { expect, it } from 'vitest';
import { createLogger } from './logger.ts';

it('writes one line a record, shortens texts and leaves out what is less urgent', () => {
  const lines: string[] = [];
  const logger = createLogger({ level: 'warn', write: (line) => lines.push(line), now: () => 5 });
  logger.log('info', 'quiet');
  logger.log('error', 'loud', { text: 'x'.repeat(10_000), count: 1 });
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ time: 5, level: 'error', msg: 'loud', count: 1 });
  expect(lines[0]?.length).toBeLessThan(2200);
});

it('drops a flood, and says how much of it', () => {
  const lines: string[] = [];
  let now = 0;
  const logger = createLogger({ level: 'warn', write: (line) => lines.push(line), now: () => now });
  for (let i = 0; i < 1000; i++) logger.log('warn', 'again');
  expect(lines).toHaveLength(300);
  now = 60_000;
  logger.log('warn', 'later');
  expect(lines.slice(300).map((line) => JSON.parse(line).msg)).toEqual(['700 log records dropped', 'later']);
});
