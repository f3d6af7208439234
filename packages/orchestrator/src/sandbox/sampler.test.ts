import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { create } from '@bufbuild/protobuf';
import { orchestratorProto, PORTS, type SandboxSample } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Sampler } from './sampler.ts';

const { SandboxSchema, SandboxState } = orchestratorProto;
const METRICS = { cpu_used_pct: 1, mem_total: 2, mem_used: 1, mem_cache: 1, disk_used: 1, disk_total: 1 };

/** What each address answers; nothing: it hangs. */
const answers = new Map<string, string>();
/** How often each was asked. */
const asked = new Map<string, number>();
let server: Server;
beforeEach(async () => {
  answers.clear();
  asked.clear();
  server = createServer((request, response) => {
    const address = request.socket.localAddress ?? '';
    asked.set(address, (asked.get(address) ?? 0) + 1);
    const answer = answers.get(address);
    if (answer !== undefined) response.end(answer);
  }).listen(PORTS.envd, '0.0.0.0');
  await once(server, 'listening');
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

const sandbox = (address: string, teamId: string) =>
  create(SandboxSchema, {
    ...{ config: { sandboxId: address, teamId, cpuCount: 2 }, executionId: address },
    ...{ state: SandboxState.RUNNING, address },
  });

function sample(sandboxes: orchestratorProto.Sandbox[]) {
  const samples: SandboxSample[] = [];
  const at = new Map<string, number>();
  const logger = createLogger({ service: 'test', level: 'silent' });
  const record = (each: SandboxSample) => {
    samples.push(each);
    at.set(each.sandboxId, performance.now());
  };
  const options = { sandboxes: () => sandboxes, record, ownClock: false, now: Date.now, logger };
  return { samples, at, sampler: new Sampler(options, new AbortController().signal) };
}

it('takes what is valid, as of the sandbox that it asked', async () => {
  answers.set('127.46.0.1', JSON.stringify({ ...METRICS, sandboxId: 'other', teamId: 't2' }));
  answers.set('127.46.0.2', 'null');
  answers.set('127.46.0.3', JSON.stringify({ ...METRICS, mem_used: 'much' }));
  const { samples, sampler } = sample([1, 2, 3].map((last) => sandbox(`127.46.0.${last}`, 't1')));
  await sampler.round(60_000);
  expect(samples).toEqual([
    {
      ...{ sandboxId: '127.46.0.1', teamId: 't1', timeMs: expect.any(Number), cpuCount: 2 },
      ...{ cpuUsedPct: 1, memTotal: 2, memUsed: 1, memCache: 1, diskUsed: 1, diskTotal: 1 },
    },
  ]);
});

it('asks other teams while all sandboxes of one hang, and those less and less often', async () => {
  const hanging = Array.from({ length: 9 }, (_, last) => sandbox(`127.46.1.${last + 1}`, 'hanging'));
  const quiet = Array.from({ length: 5 }, (_, last) => sandbox(`127.46.2.${last + 1}`, 'quiet'));
  for (const { address } of quiet) answers.set(address, JSON.stringify(METRICS));
  const { samples, at, sampler } = sample([...hanging, ...quiet]);
  const begin = performance.now();
  await sampler.round(60_000);
  const took = performance.now() - begin;
  expect(samples).toHaveLength(quiet.length);
  // Nine that hang for a second each, three at once.
  expect(took).toBeGreaterThan(2_900);
  for (const { address } of quiet) expect((at.get(address) ?? Infinity) - begin).toBeLessThan(took - 1_000);
  for (let round = 0; round < 5; round++) await sampler.round(60_000);
  expect(asked.get('127.46.2.1')).toBe(6);
  // In the first round and the second, then after a round out, and after two.
  expect(asked.get('127.46.1.1')).toBe(3);
});

it('comes to those first whom it did not come to', async () => {
  const hanging = Array.from({ length: 6 }, (_, last) => sandbox(`127.46.3.${last + 1}`, 'hanging'));
  const { sampler } = sample(hanging);
  await sampler.round(500);
  expect(asked.size).toBe(3);
  await sampler.round(500);
  expect(asked.size).toBe(6);
});
