import { assert, constantFrom, dictionary, jsonValue, object, oneof, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  EnvdAnswerError,
  parseClock,
  parseJournalLine,
  parseMetrics,
  parseRefusal,
  parseRemovedFiles,
} from './answers.ts';

const METRICS = {
  cpu_used_pct: 1.5,
  mem_total: 4096,
  mem_used: 100,
  mem_cache: 5,
  disk_used: 7,
  disk_total: 9,
};
const RECORD = {
  seq: 3,
  timeMs: 5,
  level: 'info',
  logger: 'process',
  message: 'process started',
  fields: { pid: '7', exit_code: '0' },
};

const text = (over: object, base: object = METRICS) => JSON.stringify({ ...base, ...over });

describe('metrics', () => {
  it('are what envd says', () => {
    expect(parseMetrics(text({ more: 1 }))).toEqual({
      ...{ cpuUsedPct: 1.5, memTotal: 4096, memUsed: 100, memCache: 5, diskUsed: 7, diskTotal: 9 },
    });
  });

  it.each([
    ['nothing', 'null'],
    ['a list', '[]'],
    ['no JSON', '{'],
    ['deep JSON', '['.repeat(60_000)],
    ['a number too large', text({}).replace('4096', '1e999')],
    ['a negative one', text({ mem_used: -1 })],
    ['a text', text({ mem_used: '1' })],
    ['one missing', text({ disk_total: undefined })],
    ['what cannot be a number', text({ cpu_used_pct: null })],
  ])('are refused where they are %s', (_, answer) => {
    expect(() => parseMetrics(answer)).toThrow(EnvdAnswerError);
  });

  it('are whole numbers of bytes and shares of the CPUs', () => {
    expect(parseMetrics(text({ cpu_used_pct: 1e9, mem_total: 1e300, disk_used: 1.7 }))).toMatchObject({
      ...{ cpuUsedPct: 100, memTotal: Number.MAX_SAFE_INTEGER, diskUsed: 1 },
    });
  });
});

describe('a record of the journal', () => {
  it('is what envd says, and nothing beside', () => {
    const { seq, ...record } = RECORD;
    expect(parseJournalLine(text({ sandboxId: 'other', teamId: 'other' }, RECORD))).toEqual({ seq, record });
  });

  it.each([
    ['no number', { seq: -1 }],
    ['a number that is none', { seq: 1.5 }],
    ['a time that no Date takes', { timeMs: 8.64e15 + 1 }],
    ['no time', { timeMs: '5' }],
    ['another level', { level: 'fatal' }],
    ['the node’s name', { logger: 'orchestrator' }],
    ['no message', { message: { toString: 1 } }],
    ['a long message', { message: 'x'.repeat(2_000) }],
    ['no fields', { fields: null }],
    ['a list of fields', { fields: [] }],
    ['a field that is no text', { fields: { pid: 7 } }],
    ['a long field', { fields: { cmd: 'x'.repeat(2_000) } }],
    ['a field with a strange name', { fields: { 'a b': 'x' } }],
    ['too many fields', { fields: Object.fromEntries([...'abcdefghijklmnop'].map((name) => [name, ''])) }],
  ])('is refused where it has %s', (_, over) => {
    expect(() => parseJournalLine(text(over, RECORD))).toThrow(EnvdAnswerError);
  });

  it('does not reach what objects inherit', () => {
    const line = text({}, RECORD).replace('"pid"', '"__proto__"');
    expect(() => parseJournalLine(line)).toThrow(EnvdAnswerError);
  });
});

it('removed files are a list of places, or refused', () => {
  expect(parseRemovedFiles('[{"pid":1,"path":"/v/f","x":0}]')).toEqual([{ pid: 1, path: '/v/f' }]);
  for (const answer of ['null', '{}', '[null]', '[{"pid":"1","path":"/"}]', '[{"pid":1,"path":[]}]']) {
    expect(() => parseRemovedFiles(answer)).toThrow(EnvdAnswerError);
  }
});

it('a time is a number of milliseconds, or none', () => {
  expect(parseClock('1700000000000')).toBe(1_700_000_000_000);
  for (const header of [undefined, '', 'NaN', '1e9', '-1', '9'.repeat(40), ['1', '2']]) {
    expect(parseClock(header)).toBeUndefined();
  }
});

it('a refusal is a short text, whatever it was', () => {
  expect(parseRefusal('{"message":"no such volume"}')).toBe('no such volume');
  expect(parseRefusal('plain')).toBe('plain');
  expect(parseRefusal('{"message":{"a":1}}')).toBe('it says not why');
  expect(parseRefusal('x'.repeat(60_000))).toHaveLength(500);
});

it('any answer is either taken or refused as not valid', () => {
  const fields = dictionary(string({ unit: 'binary' }), oneof(string(), jsonValue()));
  const like = object().map((value) => JSON.stringify({ ...METRICS, ...RECORD, ...value }));
  const answers = oneof(
    string(),
    jsonValue().map((value) => JSON.stringify(value)),
    like,
    fields.map((value) => text({ fields: value }, RECORD)),
  );
  assert(
    property(answers, constantFrom(parseMetrics, parseRemovedFiles, parseJournalLine), (answer, parse) => {
      try {
        parse(answer);
      } catch (error) {
        if (!(error instanceof EnvdAnswerError)) throw error;
      }
      expect(typeof parseRefusal(answer)).toBe('string');
    }),
  );
});
