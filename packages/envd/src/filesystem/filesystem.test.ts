import { expect, it } from 'vitest';
import { EventQueue, MAX_QUEUED_EVENTS } from './event-queue.ts';
import { metadataDefect } from './metadata.ts';
import { permissionText } from './permissions.ts';
import { changeTypes } from './watch-tree.ts';

it.each([
  [0o100644, '-rw-r--r--'],
  [0o040755, 'drwxr-xr-x'],
  [0o120777, 'Lrwxrwxrwx'],
  [0o041777, 'dtrwxrwxrwx'],
  [0o104755, 'urwxr-xr-x'],
  [0o102755, 'grwxr-xr-x'],
  [0o020666, 'Dcrw-rw-rw-'],
  [0o060660, 'Drw-rw----'],
  [0o010600, 'prw-------'],
  [0o140755, 'Srwxr-xr-x'],
  [0o100000, '----------'],
])('mode %o is shown as %s', (mode, text) => {
  expect(permissionText(mode)).toBe(text);
});

it('tells the bits of one kernel event one after another', () => {
  expect(changeTypes(0x100 | 0x4 | 0x2)).toEqual(['create', 'chmod', 'write']);
  expect(changeTypes(0x40)).toEqual(['rename']);
  expect(changeTypes(0x80)).toEqual(['create']);
  expect(changeTypes(0x200 | 0x400)).toEqual(['remove']);
  expect(changeTypes(0x8000)).toEqual([]);
});

it.each([
  [{ key: 'value' }, undefined],
  [{ '': 'x' }, /empty/],
  [{ key: 'tab\t' }, /printable/],
  [{ kéy: 'x' }, /printable/],
  [{ ['k'.repeat(246)]: 'x' }, undefined],
  [{ ['k'.repeat(247)]: 'x' }, /246/],
  [{ a: 'x'.repeat(4086) }, undefined],
  [{ a: 'x'.repeat(4087) }, /4096/],
])('metadata %j', (metadata, defect) => {
  const found = metadataDefect(metadata as unknown as Record<string, string>);
  if (defect) expect(found).toMatch(defect);
  else expect(found).toBeUndefined();
});

it('a queue takes no more than it may', async () => {
  const queue = new EventQueue<number>(60_000);
  for (let i = 0; i < MAX_QUEUED_EVENTS; i++) expect(queue.push(i)).toBe(true);
  expect(queue.push(0)).toBe(false);
  expect(await queue.next()).toEqual({ type: 'event', event: 0 });
  queue.close('over');
  expect(await queue.next()).toEqual({ type: 'closed', reason: 'over' });
});
