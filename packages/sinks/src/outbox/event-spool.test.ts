import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SandboxLifeEvent } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { EventSpool } from './event-spool.ts';
import { Outbox } from './outbox.ts';

const logger = createLogger({ service: 'test', level: 'silent' });

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'islet-spool-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const open = (bytesPerFile = 1_000_000) => new EventSpool({ dir, bytesPerFile, logger });

const event = (index: number, over: Partial<SandboxLifeEvent> = {}): SandboxLifeEvent => ({
  ...{ id: `${index}`, type: 'created', timeMs: index, sandboxId: `i${index}`, teamId: 't1' },
  ...{ executionId: 'e', templateId: 'base', buildId: 'b', metadata: { a: 'ä' }, ...over },
});
const ids = (events: readonly SandboxLifeEvent[]) => events.map(({ id }) => Number(id));
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

it('hands the events of a process before to readers, though that one was killed', async () => {
  const first = open();
  const outbox = new Outbox({ characters: 1_000_000, lingerMs: 1, logger, spool: first });
  const told = [event(0), event(1, { type: 'killed', killReason: 'timeout' })];
  for (const each of told) outbox.events.record(each);
  const second = new Outbox({ characters: 1_000_000, lingerMs: 1, logger, spool: open() });
  second.events.record(event(2));
  for await (const { notes } of second.read(undefined, new AbortController().signal)) {
    expect(notes).toEqual([...told, event(2)].map((each) => ({ kind: 'event', event: each })));
    break;
  }
});

it('passes over what was cut short at any byte, and goes on behind it', () => {
  const first = open();
  for (const index of upTo(3)) first.append(event(index));
  const path = join(dir, 'events.ndjson');
  const whole = readFileSync(path);
  const last = whole.indexOf('\n', whole.length / 2) + 1;
  for (let cut = last; cut < whole.length; cut++) {
    writeFileSync(path, whole.subarray(0, cut));
    const spool = open();
    spool.append(event(9));
    // The line is whole without its end.
    expect(ids(open().takeLeft()), `cut at ${cut}`).toEqual(
      cut < whole.length - 1 ? [0, 1, 9] : [0, 1, 2, 9],
    );
  }
});

it('keeps the newest within its size, and what was last said of each sandbox however long ago', () => {
  const first = open(2_000);
  first.append(event(0));
  first.append(event(1));
  for (const index of upTo(100)) {
    first.append(event(10 + index));
    first.append(event(200 + index, { sandboxId: `i${10 + index}`, type: 'killed' }));
  }
  expect(readdirSync(dir).sort()).toEqual(['events.1.ndjson', 'events.ndjson']);
  for (const name of readdirSync(dir)) expect(statSync(join(dir, name)).size).toBeLessThan(3_000);
  const second = open(2_000);
  expect(ids(second.takeLeft()).slice(-2)).toEqual([109, 299]);
  expect(second.takeLeft()).toEqual([]);
  expect([...(second.remembered?.keys() ?? [])]).toEqual(['i0', 'i1']);
});

it('remembers what was not said, and forgets what has left', () => {
  expect(open().remembered).toBeUndefined();
  const first = open();
  const execution = { startedAtMs: 1, lengthMs: 0, cpuCount: 2, memoryMb: 512 };
  first.remember(event(0, { execution, endAtMs: 5 }));
  first.remember(event(1));
  first.append(event(2, { sandboxId: 'i0', type: 'updated', endAtMs: 7 }));
  first.forget('i1');
  const second = open();
  expect(ids(second.takeLeft())).toEqual([2]);
  // The update says nothing of the run.
  expect([...(second.remembered?.values() ?? [])]).toEqual([
    event(2, { sandboxId: 'i0', type: 'updated', endAtMs: 7, execution }),
  ]);
});

it('goes on if it was killed while it turned its files', () => {
  const first = open();
  first.append(event(0));
  const path = join(dir, 'events.ndjson');
  writeFileSync(`${path}.new`, `${JSON.stringify({ last: event(0) })}\n`);
  renameSync(path, join(dir, 'events.1.ndjson'));
  const second = open();
  expect(ids(second.takeLeft())).toEqual([0]);
  expect([...(second.remembered?.keys() ?? [])]).toEqual(['i0']);
});

it('takes nothing from its files that is no event', () => {
  open().append(event(0));
  const path = join(dir, 'events.ndjson');
  const lines = ['null', '7', '[]', '{}', '{"event":{}}', '{"last":7}', '{"gone":7}'];
  writeFileSync(path, `${lines.join('\n')}\n${readFileSync(path)}`);
  expect(ids(open().takeLeft())).toEqual([0]);
});
