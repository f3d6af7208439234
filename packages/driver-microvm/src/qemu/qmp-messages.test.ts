import { expect, it } from 'vitest';
import { readDrives, readMemoryBlock, readNodes, readStatus } from './qmp-answers.ts';
import { MAX_MESSAGE_BYTES, QmpFormatError, type QmpMessage, QmpMessages } from './qmp-messages.ts';

const said = (messages: QmpMessages, text: string): QmpMessage[] => [...messages.take(Buffer.from(text))];

it('reads messages however they arrive', () => {
  const text = [
    '{"QMP": {"version": {}}}',
    '{"return": null}',
    '{"error": {"class": "GenericError", "desc": "no room – 1 B"}}',
    '{"event": "STOP", "data": {"reason": "x"}, "timestamp": {}}\n',
  ].join('\r\n');
  const expected: QmpMessage[] = [
    { kind: 'other' },
    { kind: 'answer', value: null },
    { kind: 'failure', description: 'no room – 1 B' },
    { kind: 'event', name: 'STOP', data: { reason: 'x' } },
  ];
  expect(said(new QmpMessages(), text)).toEqual(expected);
  const bytewise = new QmpMessages();
  expect([...Buffer.from(text)].flatMap((byte) => [...bytewise.take(Buffer.of(byte))])).toEqual(expected);
});

it.each([
  'null',
  '[]',
  '{"event": {}}',
  '{"event": "STOP", "data": null}',
  '{"event": "STOP", "data": []}',
  '{"error": "no"}',
  '{"error": {"desc": {}}}',
  '{',
  '',
])('takes %s for no message', (line) => {
  expect(() => said(new QmpMessages(), `${line}\n`)).toThrow(QmpFormatError);
});

it('takes no message without end, in whatever pieces, at a cost that grows with its length alone', () => {
  const messages = new QmpMessages(() => 0);
  const begin = process.cpuUsage();
  for (let i = 0; i < MAX_MESSAGE_BYTES; i++) said(messages, 'x');
  // It takes 0.1 s. To look through all that has come for each byte takes 3 s here, and 50 s for a MiB.
  expect(process.cpuUsage(begin).user / 1e6).toBeLessThan(2);
  expect(() => said(messages, 'x')).toThrow('without end');
});

it('ends if more is said than QEMU has to say, and hears what is said slowly for ever', () => {
  let now = 0;
  const event = `{"event": "STOP", "data": {"x": "${'x'.repeat(1_000)}"}}\n`;
  const flooding = new QmpMessages(() => now);
  expect(() => {
    for (let i = 0; i < 10_000; i++) said(flooding, event);
  }).toThrow('more than it has to say');
  const slow = new QmpMessages(() => now);
  for (let i = 0; i < 10_000; i++) {
    now += 20;
    expect(said(slow, event)).toHaveLength(1);
  }
});

it('keeps the first words of a failure', () => {
  const [failure] = said(new QmpMessages(), `{"error": {"desc": "${'x'.repeat(100_000)}"}}\n`);
  expect(failure).toEqual({ kind: 'failure', description: 'x'.repeat(1_000) });
});

it('reads answers as what they have to be', () => {
  expect(readStatus({ status: 'running', running: true })).toEqual({ status: 'running', running: true });
  expect(readDrives([{ inserted: { 'node-name': 'root' } }, { device: 'floppy' }])).toEqual(['root']);
  expect(readNodes([{ 'node-name': 'a', file: '/a' }])).toEqual([{ name: 'a', file: '/a' }]);
  const ramblock = `              Block Name    PSize              Offset               Used              Total                HVA  RO
                     ram    4 KiB  0x0000000000000000 0x0000000010000000 0x0000000010000000 0x00007f35f7e00000  rw
           /rom@etc/acpi/tables    4 KiB  0x0000000010040000 0x0000000000020000 0x0000000000200000 0x00007f35f7a00000  ro
`;
  expect(readMemoryBlock(ramblock)).toEqual({ address: 0x7f35f7e00000n, bytes: 0x10000000n });
});

it.each([null, [], {}, 'running', { status: {} }, { status: 'running', running: 'yes' }])(
  'takes %j for no status',
  (answer) => {
    expect(() => readStatus(answer)).toThrow(QmpFormatError);
  },
);

it.each([null, {}, [null], Array(1_000).fill({ 'node-name': 'a', file: '/a' })])(
  'takes %j for no list of disks',
  (answer) => {
    expect(() => readDrives(answer)).toThrow(QmpFormatError);
    expect(() => readNodes(answer)).toThrow(QmpFormatError);
  },
);

it.each([
  [null],
  ['\n'.repeat(MAX_MESSAGE_BYTES)],
  [' '.repeat(MAX_MESSAGE_BYTES)],
  ['ram 4 KiB 0x0 0x0 0x0 -1 rw'],
])('finds no memory in what tells of none', (answer) => {
  expect(() => readMemoryBlock(answer)).toThrow(QmpFormatError);
});
