import { afterEach, beforeEach, expect, it } from 'vitest';
import { ConsulAgent, ConsulError } from '../src/agent.ts';
import { keepRegistered, type ServiceEntry } from '../src/registration.ts';
import { type ServiceInstance, watchService } from '../src/watch.ts';
import { TestAgent } from './agent.ts';

let server: TestAgent;
let agent: ConsulAgent;
let told: (readonly ServiceInstance[])[];
let losses: unknown[];
let closing: (Disposable | AsyncDisposable)[];
beforeEach(async () => {
  server = await TestAgent.start();
  agent = new ConsulAgent({ url: server.url, token: undefined });
  [told, losses, closing] = [[], [], []];
});
afterEach(async () => {
  for (const each of closing.reverse()) {
    if (Symbol.asyncDispose in each) await each[Symbol.asyncDispose]();
    else each[Symbol.dispose]();
  }
  await server[Symbol.asyncDispose]();
});

const entry = (id: string, over: Partial<ServiceEntry> = {}): ServiceEntry => ({
  ...{ id, name: 'islet-node', address: '10.0.0.1', port: 5008, meta: { node: id } },
  ...{ check: { tcp: '10.0.0.1:5008' }, ...over },
});
const watch = (waitMs = 60_000) => {
  const listener = {
    changed: (instances: readonly ServiceInstance[]) => told.push(instances),
    lost: (error: unknown) => losses.push(error),
  };
  const times = { waitMs, leastMs: 1, againMs: { least: 5, most: 20 } };
  closing.push(watchService(agent, 'islet-node', listener, times));
};
const register = async (id: string, over?: Partial<ServiceEntry>, lookMs = 60_000) => {
  const kept = keepRegistered(agent, entry(id, over), (error) => losses.push(error), lookMs);
  closing.push(kept);
  await kept.first;
  return kept;
};
const newest = () => told.at(-1)?.map(({ id, isPassing }) => `${id} ${isPassing}`);

it('tells of all instances at once, and of each change as it comes', async () => {
  await register('a');
  await register('elsewhere', { name: 'another-service' });
  watch();
  await expect.poll(newest).toEqual(['a false']);
  server.setStatus('a', 'passing');
  await expect.poll(newest).toEqual(['a true']);
  const b = await register('b', { address: '', meta: {} });
  await expect.poll(newest).toEqual(['a true', 'b false']);
  expect(told.at(-1)).toEqual([
    { id: 'a', address: '10.0.0.1', port: 5008, meta: { node: 'a' }, isPassing: true },
    // Of its machine.
    { id: 'b', address: '10.9.9.9', port: 5008, meta: {}, isPassing: false },
  ]);
  await b[Symbol.asyncDispose]();
  await expect.poll(newest).toEqual(['a true']);
  expect(losses).toEqual([]);
});

it('says nothing of what has not changed, and asks again when a question has waited for nothing', async () => {
  await register('a');
  watch(20);
  await expect.poll(() => told.length).toBe(1);
  server.stir();
  const { answered } = server;
  await expect.poll(() => server.answered).toBeGreaterThan(answered + 3);
  expect(told).toHaveLength(1);
});

it('goes on behind an index that goes backwards', async () => {
  await register('a');
  watch();
  await expect.poll(newest).toEqual(['a false']);
  server.countAnew();
  server.setStatus('a', 'passing');
  await expect.poll(newest).toEqual(['a true']);
});

it.each([
  ['that fails', { status: 500, text: 'rpc error: No cluster leader' }],
  ['that is no JSON', { status: 200, text: '<html>' }],
  ['of another form', { status: 200, text: '[{"Service":{"Port":"x"}}]' }],
])('keeps what it knows over an answer %s, says so once, and goes on', async (_, instead) => {
  await register('a');
  watch(20);
  await expect.poll(newest).toEqual(['a false']);
  server.instead = instead;
  await expect.poll(() => losses.length).toBe(1);
  expect(losses[0]).toBeInstanceOf(ConsulError);
  server.instead = undefined;
  server.setStatus('a', 'passing');
  await expect.poll(newest).toEqual(['a true']);
  expect(losses).toHaveLength(1);
  expect(told.map((instances) => instances.length)).toEqual([1, 1]);
});

it('reads no answer beyond a bound', async () => {
  server.instead = { status: 200, text: 'x'.repeat(17 * 1024 * 1024) };
  await expect(agent.ask({ method: 'GET', path: '/v1/x', timeoutMs: 10_000 })).rejects.toThrow(
    /more than \d+ bytes/,
  );
});

it('shows its token, and does not repeat it', async () => {
  server.token = 'secret-token';
  const ask = (token: string) =>
    new ConsulAgent({ url: server.url, token }).ask({
      ...{ method: 'GET', path: '/v1/health/service/x', timeoutMs: 10_000 },
    });
  await expect(ask('secret-token')).resolves.toMatchObject({ text: '[]' });
  const refused = ask('wrong-token');
  await expect(refused).rejects.toThrow(/answered 403: Permission denied/);
  await expect(refused).rejects.not.toThrow(/wrong-token/);
});

it('registers with a check, anew if the agent has forgotten it, and takes it back at the end', async () => {
  const kept = await register('a', {}, 10);
  expect(server.services.get('a')).toMatchObject({
    ...{ ID: 'a', Name: 'islet-node', Address: '10.0.0.1', Port: 5008, Meta: { node: 'a' } },
    Check: { TCP: '10.0.0.1:5008', Interval: '5s' },
  });
  server.forget();
  await expect.poll(() => server.services.has('a')).toBe(true);
  await register('b', { check: { http: 'http://10.0.0.1:3000/health' } });
  expect(server.services.get('b')?.Check).toMatchObject({ HTTP: 'http://10.0.0.1:3000/health' });
  await kept[Symbol.asyncDispose]();
  expect([...server.services.keys()]).toEqual(['b']);
});

it('registers when the agent comes, and tells of its absence once', async () => {
  server.instead = { status: 500, text: 'starting' };
  const kept = keepRegistered(agent, entry('late'), (error) => losses.push(error), 5);
  closing.push(kept);
  await expect.poll(() => losses.length).toBeGreaterThan(0);
  server.instead = undefined;
  await kept.first;
  expect(server.services.has('late')).toBe(true);
  expect(losses).toHaveLength(1);
});
