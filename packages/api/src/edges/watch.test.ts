import { createMemoryRoutes } from '@islet/catalog';
import { testRoute } from '@islet/catalog/contract';
import { expect, it } from 'vitest';
import { watchStream } from './watch.ts';

const never = new AbortController().signal;

it('tells any number of routes that are there at its start', async () => {
  const routes = createMemoryRoutes(Date.now);
  const count = 100_001;
  for (let index = 0; index < count; index++) await routes.put(testRoute(`s${index}`));
  let told = 0;
  for await (const { event } of watchStream(routes, 0, never)) {
    if (event.case === 'complete') break;
    told++;
  }
  expect(told).toBe(count);
});

it('cuts off a reader that lags too far behind, and leaves no listener', async () => {
  const routes = createMemoryRoutes(Date.now);
  const stream = watchStream(routes, 0, never);
  expect((await stream.next()).value?.event.case).toBe('complete');
  for (let index = 0; index < 100_002; index++) await routes.put(testRoute('a', { revision: index }));
  const rest = async () => {
    for await (const _ of stream);
  };
  await expect(rest()).rejects.toThrow('lags too far behind');
});

it('ends with its signal, also before it began', async () => {
  const routes = createMemoryRoutes(Date.now);
  const stop = new AbortController();
  const stream = watchStream(routes, 0, stop.signal);
  await stream.next();
  const next = stream.next();
  stop.abort();
  expect((await next).done).toBe(true);
  const late = watchStream(routes, 0, stop.signal);
  const said = [];
  for await (const { event } of late) said.push(event.case);
  expect(said.filter((each) => each !== 'complete')).toEqual([]);
});
