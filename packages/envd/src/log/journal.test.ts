import { expect, it } from 'vitest';
import { Journal } from './journal.ts';

/** What a reader gets that has read up to `start`. */
const read = (journal: Journal, start: number) => {
  const records = [];
  for (let record = journal.at(start); record; record = journal.at(record.seq + 1)) records.push(record);
  return records;
};
const messages = (journal: Journal, start: number) => read(journal, start).map(({ message }) => message);

it('gives each record to a reader once, and says when there is another', () => {
  const journal = new Journal(() => 5);
  journal.add('info', 'process', 'one', { pid: 1 });
  expect(read(journal, 0)).toEqual([
    { seq: 0, timeMs: 5, level: 'info', logger: 'process', message: 'one', fields: { pid: '1' } },
  ]);
  expect(read(journal, 1)).toEqual([]);
  const seen: number[] = [];
  const stop = journal.onRecord(() => seen.push(journal.head));
  journal.add('info', 'process', 'two', {});
  journal.add('info', 'process', 'three', {});
  stop();
  journal.add('info', 'process', 'four', {});
  expect(seen).toEqual([2, 3]);
  expect(messages(journal, 1)).toEqual(['two', 'three', 'four']);
  expect(journal.head).toBe(4);
});

it('keeps the newest records only, and no long texts', () => {
  const journal = new Journal(() => 0);
  for (let i = 0; i < 1500; i++) journal.add('info', 'process', `${i}`, {});
  expect(messages(journal, 0)).toHaveLength(1000);
  expect(journal.at(0)).toMatchObject({ seq: 500, message: '500' });
  expect(messages(journal, 1499)).toEqual(['1499']);
  journal.add('info', 'process', 'x'.repeat(5000), { cmd: 'y'.repeat(5000) });
  const record = journal.at(1500);
  expect(record?.message.length).toBeLessThan(1100);
  expect(record?.fields.cmd?.length).toBeLessThan(1100);
});

it('begins anew if the sandbox becomes another one', () => {
  const journal = new Journal(() => 0);
  journal.add('info', 'process', 'of the template', {});
  journal.clear();
  expect(read(journal, 0)).toEqual([]);
  // A reader that is ahead of it reads on from its beginning.
  journal.add('info', 'process', 'first', {});
  expect(messages(journal, 2)).toEqual(['first']);
});
