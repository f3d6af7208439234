import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { newSandbox, orchestratorProto, PORTS, type Sandbox, type SandboxSample } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import { expect, it } from 'vitest';
import { type Ask, askEnvd, Sampler } from './sampler.ts';

const { SandboxState } = orchestratorProto;
const METRICS = { cpu_used_pct: 1, mem_total: 2, mem_used: 1, mem_cache: 1, disk_used: 1, disk_total: 1 };
const SAMPLE = { cpuUsedPct: 1, memTotal: 2, memUsed: 1, memCache: 1, diskUsed: 1, diskTotal: 1 };

const sandbox = (name: string, teamId: string, address = '') =>
  newSandbox({
    ...{ config: { sandboxId: name, teamId, cpuCount: 2 }, executionId: name },
    ...{ state: SandboxState.RUNNING, address },
  });

/** Sandboxes of a team, such as `quiet-0`. */
const sandboxes = (teamId: string, count: number) =>
  Array.from({ length: count }, (_, i) => sandbox(`${teamId}-${i}`, teamId));

function sampler(running: Sandbox[], ask: Ask, now = Date.now, rests = () => false) {
  const samples: SandboxSample[] = [];
  const logger = createLogger({ service: 'test', level: 'silent' });
  const sink = { record: (each: SandboxSample) => samples.push(each) };
  const options = { sandboxes: () => running, ask, rests, samples: sink, now, logger };
  return { samples, sampler: new Sampler(options, new AbortController().signal) };
}

/** A sandbox's own server on envd's port. */
async function serving(address: string, answer: string): Promise<AsyncDisposable> {
  const server = createServer((_request, response) => response.end(answer)).listen(PORTS.envd, address);
  await once(server, 'listening');
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

it('takes what is valid, as of the sandbox that it asked', async () => {
  const forged = JSON.stringify({ ...METRICS, sandboxId: 'other', teamId: 't2' });
  await using _forging = await serving('127.46.0.1', forged);
  await using _null = await serving('127.46.0.2', 'null');
  await using _text = await serving('127.46.0.3', JSON.stringify({ ...METRICS, mem_used: 'much' }));
  const asked = ['127.46.0.1', '127.46.0.2', '127.46.0.3'].map((address) => sandbox(address, 't1', address));
  const taken = sampler(asked, askEnvd());
  await taken.sampler.round(60_000);
  expect(taken.samples).toEqual([
    { sandboxId: '127.46.0.1', teamId: 't1', timeMs: expect.any(Number), cpuCount: 2, ...SAMPLE },
  ]);
});

it('asks one that rests once, and repeats what it said', async () => {
  let asked = 0;
  let resting = true;
  const ask: Ask = async () => ({ ...SAMPLE, memUsed: ++asked });
  const taken = sampler([sandbox('one', 't1')], ask, Date.now, () => resting);
  const next = async () => {
    await taken.sampler.round(60_000);
    return taken.samples.at(-1);
  };
  expect(await next()).toMatchObject({ cpuUsedPct: 1, memUsed: 1 });
  expect(await next()).toMatchObject({ cpuUsedPct: 0, memUsed: 1 });
  resting = false;
  expect(await next()).toMatchObject({ cpuUsedPct: 1, memUsed: 2 });
});

it('asks other teams while all sandboxes of one hang, and those less and less often', async () => {
  const asked: string[] = [];
  const { samples, sampler: rounds } = sampler(
    [...sandboxes('hanging', 9), ...sandboxes('quiet', 5)],
    async ({ config }) => {
      asked.push(config.sandboxId);
      if (config.teamId === 'quiet') return SAMPLE;
      await sleep(20);
      throw new Error('no answer in its time');
    },
  );
  await rounds.round(60_000);
  expect(samples.map(({ sandboxId }) => sandboxId)).toEqual([0, 1, 2, 3, 4].map((i) => `quiet-${i}`));
  // Three of the team that hangs, then all that answer, then its others.
  expect(asked.slice(0, 8).filter((name) => name.startsWith('quiet'))).toHaveLength(5);
  for (let round = 0; round < 5; round++) await rounds.round(60_000);
  const timesOf = (name: string) => asked.filter((each) => each === name).length;
  expect(timesOf('quiet-0')).toBe(6);
  // In the first round and the second, then after a round out, and after two.
  expect(timesOf('hanging-0')).toBe(3);
});

it('comes to those first whom it did not come to', async () => {
  const asked = new Set<string>();
  let nowMs = 1_000;
  const hang: Ask = async ({ config }) => {
    asked.add(config.sandboxId);
    await sleep(5);
    nowMs += 1_000;
    throw new Error('no answer in its time');
  };
  const { sampler: rounds } = sampler(sandboxes('hanging', 6), hang, () => nowMs);
  await rounds.round(500);
  expect(asked.size).toBe(3);
  await rounds.round(500);
  expect(asked.size).toBe(6);
});
