import { expect, it } from 'vitest';
import { Journal } from './journal.ts';

const messages = (journal: Journal, start: number) =>
  journal.read(start).records.map(({ message }) => message);

it('gives each record to a reader once', () => {
  const journal = new Journal(() => 5);
  journal.add('info', 'process', 'one', { pid: 1 });
  expect(journal.read(0)).toEqual({
    records: [{ timeMs: 5, level: 'info', logger: 'process', message: 'one', fields: { pid: '1' } }],
    next: 1,
  });
  expect(journal.read(1)).toEqual({ records: [], next: 1 });
  journal.add('info', 'process', 'two', {});
  journal.add('info', 'process', 'three', {});
  expect(messages(journal, 1)).toEqual(['two', 'three']);
  expect(journal.head).toBe(3);
});

it('keeps the newest records only, and no long texts', () => {
  const journal = new Journal(() => 0);
  for (let i = 0; i < 1500; i++) journal.add('info', 'process', `${i}`, {});
  expect(messages(journal, 0)).toHaveLength(1000);
  expect(messages(journal, 0)[0]).toBe('500');
  expect(messages(journal, 1499)).toEqual(['1499']);
  journal.add('info', 'process', 'x'.repeat(5000), { cmd: 'y'.repeat(5000) });
  const [record] = journal.read(1500).records;
  expect(record?.message.length).toBeLessThan(1100);
  expect(record?.fields.cmd?.length).toBeLessThan(1100);
});

it('begins anew where the sandbox becomes another one', () => {
  const journal = new Journal(() => 0);
  journal.add('info', 'process', 'of the template', {});
  journal.clear();
  expect(journal.read(0)).toEqual({ records: [], next: 0 });
  // A reader that is ahead of it reads on from its beginning.
  journal.add('info', 'process', 'first', {});
  expect(messages(journal, 0)).toEqual(['first']);
});
