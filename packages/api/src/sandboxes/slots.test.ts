import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SandboxSlots } from './slots.ts';

it('admits up to the limit and names it beyond', () => {
  const slots = new SandboxSlots();
  slots.reserve('t', 'a', 2);
  slots.reserve('t', 'b', 2);
  expect(() => slots.reserve('t', 'c', 2)).toThrow('maximum number of concurrent E2B sandboxes (2)');
  expect(() => slots.reserve('u', 'c', 2)).not.toThrow();
  slots.release('a');
  slots.release('a');
  slots.reserve('t', 'd', 2);
  expect(slots.count('t')).toBe(2);
});

it('keeps what is starting over a resync, and drops what the node does not have', () => {
  const slots = new SandboxSlots();
  slots.reserve('t', 'starting', 9);
  slots.reserve('t', 'done', 9);
  slots.settle('done');
  slots.occupy('t', 'gone');
  slots.retain(new Set(['done']));
  expect(slots.count('t')).toBe(2);
  slots.settle('starting');
  slots.retain(new Set());
  expect(slots.count('t')).toBe(0);
  expect(slots.counts().size).toBe(0);
});

it('counts each sandbox once, whatever the order of events', () => {
  const event = fc.tuple(fc.constantFrom('occupy', 'release'), fc.constantFrom('a', 'b', 'c'));
  fc.assert(
    fc.property(fc.array(event), (events) => {
      const slots = new SandboxSlots();
      const model = new Set<string>();
      for (const [action, id] of events) {
        if (action === 'occupy') {
          slots.occupy('t', id);
          model.add(id);
        } else {
          slots.release(id);
          model.delete(id);
        }
      }
      expect(slots.count('t')).toBe(model.size);
    }),
  );
});
