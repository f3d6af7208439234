import { describe, expect, it } from 'vitest';
import { chooseEncoding } from './accept-encoding.ts';
import { isNotModified, requestedRange } from './conditions.ts';
import { contentType, inlineDisposition } from './content-type.ts';
import { metadataOf } from './upload.ts';

it.each([
  [undefined, 'identity'],
  ['', 'identity'],
  ['gzip', 'gzip'],
  ['gzip, deflate, br', 'gzip'],
  ['GZIP;q=0.5', 'gzip'],
  ['gzip;q=0.5, identity', 'identity'],
  ['gzip;q=0', 'identity'],
  ['*', 'identity'],
  ['*;q=0', 'none'],
  ['identity;q=0', 'none'],
  ['identity;q=0, *', 'gzip'],
  ['br', 'identity'],
  ['gzip, *;q=0', 'gzip'],
])('Accept-Encoding %j gives %s', (header, expected) => {
  expect(chooseEncoding(header)).toBe(expected);
});

const validators = { etag: '"v1"', modifiedMs: Date.parse('2026-01-01T00:00:00.500Z') };
const modified = 'Thu, 01 Jan 2026 00:00:00 GMT';

describe('ranges of a file of 10 bytes', () => {
  it.each([
    ['bytes=0-0', { start: 0, end: 0 }],
    ['bytes=5-', { start: 5, end: 9 }],
    ['bytes=5-100', { start: 5, end: 9 }],
    ['bytes=-4', { start: 6, end: 9 }],
    ['bytes=-100', { start: 0, end: 9 }],
    ['bytes=-0', 'unsatisfiable'],
    ['bytes=10-', 'unsatisfiable'],
    ['bytes=5-4', 'unsatisfiable'],
    ['bytes=-', 'unsatisfiable'],
    ['lines=1-2', 'unsatisfiable'],
    ['bytes=0-1,3-4', 'all'],
  ])('%s', (range, expected) => {
    expect(requestedRange({ range }, 10, validators)).toEqual(expected);
  });

  it('hold only for the version the client has', () => {
    const range = 'bytes=0-1';
    const part = { start: 0, end: 1 };
    expect(requestedRange({ range, 'if-range': '"v1"' }, 10, validators)).toEqual(part);
    expect(requestedRange({ range, 'if-range': modified }, 10, validators)).toEqual(part);
    expect(requestedRange({ range, 'if-range': '"v2"' }, 10, validators)).toBe('all');
    expect(requestedRange({ range, 'if-range': 'Thu, 01 Jan 2026 00:00:01 GMT' }, 10, validators)).toBe(
      'all',
    );
  });
});

it('compares versions by tag before time', () => {
  expect(isNotModified({ 'if-none-match': 'W/"v1"' }, validators)).toBe(true);
  expect(isNotModified({ 'if-none-match': '"v0", "v1"' }, validators)).toBe(true);
  expect(isNotModified({ 'if-none-match': '*' }, validators)).toBe(true);
  expect(isNotModified({ 'if-none-match': '"v2"', 'if-modified-since': modified }, validators)).toBe(false);
  expect(isNotModified({ 'if-modified-since': modified }, validators)).toBe(true);
  expect(isNotModified({ 'if-modified-since': 'Wed, 31 Dec 2025 23:59:59 GMT' }, validators)).toBe(false);
  expect(isNotModified({}, validators)).toBe(false);
});

it('names files in headers whatever their name', () => {
  expect(inlineDisposition('a.txt')).toBe('inline; filename=a.txt');
  expect(inlineDisposition('a "b".txt')).toBe('inline; filename="a \\"b\\".txt"');
  expect(inlineDisposition('ünï(1).txt')).toBe("inline; filename*=utf-8''%C3%BCn%C3%AF%281%29.txt");
});

it('tells text from binary if the name says nothing', () => {
  expect(contentType('/a/b.PNG', Buffer.of(0))).toBe('image/png');
  expect(contentType('/a/b', Buffer.from('héllo\n\tx'))).toBe('text/plain; charset=utf-8');
  expect(contentType('/a/b', Buffer.of(0x7f, 0x45, 0x4c, 0x46, 0))).toBe('application/octet-stream');
});

it('takes the first of the same metadata twice, and keys that mean something to objects', () => {
  expect(
    metadataOf(['X-Metadata-A', '1', 'x-metadata-a', '2', 'Other', '3', 'X-Metadata-__proto__', '4']),
  ).toEqual(
    Object.fromEntries([
      ['a', '1'],
      ['__proto__', '4'],
    ]),
  );
});
