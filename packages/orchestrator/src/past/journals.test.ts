import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { newSandbox, orchestratorProto, PORTS, type SandboxLog } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { SandboxEvents } from '../sandbox/events.ts';
import { Journals } from './journals.ts';

const { SandboxState } = orchestratorProto;
const address = '127.45.0.40';

/** A sandbox's daemon: each answer to GET /journal, with where it was asked to start. */
let server: Server;
let answers: boolean;
let streams: { start: string | null; response: ServerResponse }[];
let logs: SandboxLog[];
let events: SandboxEvents;
let journals: Journals;
let following: Promise<void>;

beforeEach(async () => {
  [streams, logs, events] = [[], [], new SandboxEvents()];
  answers = true;
  server = createServer((request, response) => {
    const { searchParams } = new URL(request.url ?? '', 'http://envd');
    streams.push({ start: searchParams.get('start'), response });
    if (answers) response.writeHead(200).flushHeaders();
  }).listen(PORTS.envd, address);
  await once(server, 'listening');
  const logger = createLogger({ service: 'test', level: 'silent' });
  journals = new Journals({ logs: { record: (log) => logs.push(log) }, now: () => 1_000, logger });
  following = journals.follow([], events.subscribe(new AbortController().signal));
});
afterEach(async () => {
  events.close();
  await following;
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

const sandbox = (state: orchestratorProto.SandboxState, executionId = 'one') =>
  newSandbox({ config: { sandboxId: 'ia', teamId: 't1' }, executionId, state, address });
const tell = (state: orchestratorProto.SandboxState, executionId?: string) =>
  events.emit({ kind: 'changed', sandbox: sandbox(state, executionId) });
const record = (seq: number, over: object = {}) =>
  `${JSON.stringify({ seq, timeMs: 5, level: 'info', logger: 'process', message: `${seq}`, fields: {}, ...over })}\n`;
const streamsOpen = (count: number) => expect.poll(() => streams.length).toBe(count);
const messages = () => logs.map(({ message }) => message);

it('takes over records as they come, as the host’s sandbox and not from the future', async () => {
  tell(SandboxState.RUNNING);
  await streamsOpen(1);
  const text = record(0, { sandboxId: 'ib', teamId: 't2', timeMs: 8e15 });
  streams[0]?.response.write(text.slice(0, 10));
  streams[0]?.response.write(text.slice(10) + record(1));
  await expect.poll(() => logs).toHaveLength(2);
  expect(logs[0]).toEqual({
    ...{ sandboxId: 'ia', teamId: 't1', timeMs: 1_000 },
    ...{ level: 'info', logger: 'process', message: '0', fields: {} },
  });
  expect(logs[1]?.timeMs).toBe(5);
});

it('leaves a sandbox that is being saved, and goes on where it was', async () => {
  tell(SandboxState.RUNNING);
  await streamsOpen(1);
  streams[0]?.response.write(record(0));
  await expect.poll(messages).toEqual(['0']);
  const closed = once(streams[0]?.response as ServerResponse, 'close');
  tell(SandboxState.PAUSING);
  await closed;
  tell(SandboxState.RUNNING, 'two');
  await streamsOpen(2);
  expect(streams.map(({ start }) => start)).toEqual(['0', '1']);
});

it('lets a sandbox that is being saved answer first', async () => {
  answers = false;
  tell(SandboxState.RUNNING);
  await streamsOpen(1);
  const { response } = streams[0] as { response: ServerResponse };
  tell(SandboxState.PAUSING);
  await sleep(100);
  expect(response.closed).toBe(false);
  const closed = once(response, 'close');
  response.writeHead(200).flushHeaders();
  await closed;
});

it('does not wait for the answer of a sandbox that has ended', async () => {
  answers = false;
  tell(SandboxState.RUNNING);
  await streamsOpen(1);
  const closed = once(streams[0]?.response as ServerResponse, 'close');
  const reason = orchestratorProto.KillReason.REQUEST;
  events.emit({ kind: 'ended', sandbox: sandbox(SandboxState.KILLING), reason });
  await closed;
});

it('hears a sandbox out that is being killed, until it has ended', async () => {
  tell(SandboxState.RUNNING);
  await streamsOpen(1);
  const closed = once(streams[0]?.response as ServerResponse, 'close');
  tell(SandboxState.KILLING);
  await sleep(50);
  streams[0]?.response.write(record(0));
  await expect.poll(messages).toEqual(['0']);
  events.emit({
    ...{ kind: 'ended', sandbox: sandbox(SandboxState.KILLING) },
    reason: orchestratorProto.KillReason.REQUEST,
  });
  await closed;
});

it('says how many were lost, in a voice that is not the node’s', async () => {
  tell(SandboxState.RUNNING);
  await streamsOpen(1);
  streams[0]?.response.write(record(0) + record(11));
  await expect.poll(messages).toEqual(['0', expect.stringMatching(/^10 records were lost/), '11']);
  expect(logs.map(({ logger }) => logger)).not.toContain('orchestrator');
});

it.each([
  ['a page', '{"records":null}\n'],
  ['the node’s name', record(0, { logger: 'orchestrator' })],
  ['a line without end', 'x'.repeat(40_000)],
])('breaks off where it is given %s, and asks again later', async (_, text) => {
  tell(SandboxState.RUNNING);
  await streamsOpen(1);
  const closed = once(streams[0]?.response as ServerResponse, 'close');
  streams[0]?.response.write(text);
  await closed;
  await streamsOpen(2);
  streams[1]?.response.write(record(0));
  await expect.poll(messages).toEqual(['0']);
});

it('takes a flood at its own pace', async () => {
  tell(SandboxState.RUNNING);
  await streamsOpen(1);
  const { response } = streams[0] as { response: ServerResponse };
  let seq = 0;
  const flood = () => {
    while (!response.destroyed && response.write(record(seq++, { message: 'x'.repeat(1_000) })));
  };
  response.on('drain', flood);
  flood();
  const begin = performance.now();
  await expect.poll(() => logs.length).toBeGreaterThan(600);
  const seconds = (performance.now() - begin) / 1000;
  // Its rest, what comes with a second, and a piece of the stream that is taken before it is paid for.
  expect(logs.length * 1_000).toBeLessThan(512 * 1024 + (seconds + 1) * 64 * 1024 + 64 * 1024);
});

it('does not keep who reads the logs waiting for a sandbox that says nothing', async () => {
  server.removeAllListeners('request');
  server.on('request', () => undefined);
  tell(SandboxState.RUNNING);
  await journals.caughtUp('ia');
  await journals.caughtUp('ib');
});
