import { expect, it } from 'vitest';
import { JournalLines } from './journal-lines.ts';

const record = (seq: number, message = 'hello €') =>
  `${JSON.stringify({ seq, timeMs: 1, level: 'info', logger: 'process', message, fields: {} })}\n`;
const messagesOf = (chunks: readonly Uint8Array[]) => {
  const lines = new JournalLines();
  return chunks.flatMap((chunk) => [...lines.take(chunk)].map(({ record }) => record.message));
};

it('reads records in whatever pieces they come', () => {
  const bytes = Buffer.from(record(0) + record(1, 'b'));
  expect(messagesOf([bytes])).toEqual(['hello €', 'b']);
  expect(messagesOf([...bytes].map((byte) => Buffer.of(byte)))).toEqual(['hello €', 'b']);
});

it('refuses a line that is too long, whether its end has come or not', () => {
  const long = ' '.repeat(33 * 1024);
  expect(() => messagesOf([Buffer.from(long)])).toThrow('has no end');
  expect(() => messagesOf([Buffer.from(`${long}\n`)])).toThrow('has no end');
});
