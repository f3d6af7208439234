import { describe, expect, it } from 'vitest';
import { Headers as OwnHeaders } from './headers.ts';

/** What both kinds can be asked. */
interface AnyHeaders extends Iterable<[string, string]> {
  append(name: string, value: string): void;
  delete(name: string): void;
  get(name: string): string | null;
  has(name: string): boolean;
  set(name: string, value: string): void;
  forEach(use: (value: string, name: string) => void): void;
}

function told(headers: AnyHeaders): unknown {
  const each: [string, string][] = [];
  headers.forEach((value, name) => void each.push([name, value]));
  return { each: each.sort(), pairs: [...headers].sort() };
}

describe.each([
  ['nothing', undefined],
  ['a record', { 'Content-Type': 'a/b', 'x-1': ' spaced ' }],
  [
    'pairs',
    [
      ['X-A', '1'],
      ['x-a', '2'],
      ['b', ''],
    ] as [string, string][],
  ],
])('headers made of %s', (_, init) => {
  const both = (change: (headers: AnyHeaders) => unknown = () => undefined) => {
    const [own, nodes] = [new OwnHeaders(init), new Headers(init)] as const;
    return { own: [change(own), told(own)], nodes: [change(nodes), told(nodes)] };
  };
  it.each<[string, (headers: AnyHeaders) => unknown]>([
    ['are as they were made', () => undefined],
    [
      'give values by any case',
      (headers) => ['X-A', 'content-type', 'none'].map((name) => headers.get(name)),
    ],
    ['know what they have', (headers) => ['x-A', 'B', 'none'].map((name) => headers.has(name))],
    ['append', (headers) => headers.append('X-A', '3')],
    ['set', (headers) => headers.set('X-A', ' 4 ')],
    ['delete', (headers) => headers.delete('X-A')],
  ])('%s, as those of Node', (_name, change) => {
    const { own, nodes } = both(change);
    expect(own).toEqual(nodes);
  });
});

it('are copied, not shared', () => {
  const first = new OwnHeaders({ a: '1' });
  const second = new OwnHeaders(first);
  second.set('a', '2');
  expect([first.get('a'), second.get('a')]).toEqual(['1', '2']);
});
