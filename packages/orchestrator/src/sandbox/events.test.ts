import { newSandbox } from '@islet/contracts';
import { expect, it } from 'vitest';
import { SandboxEvents } from './events.ts';

const changed = (sandboxId: string) => ({
  kind: 'changed' as const,
  sandbox: newSandbox({ config: { sandboxId } }),
});

it('gives each subscriber what happened since its call, in order, and ends with close', async () => {
  const events = new SandboxEvents();
  events.emit(changed('before'));
  const subscription = events.subscribe(new AbortController().signal);
  events.emit(changed('ia'));
  events.emit(changed('ib'));
  events.close();
  const seen: (string | undefined)[] = [];
  for await (const event of subscription) seen.push(event.sandbox.config?.sandboxId);
  expect(seen).toEqual(['ia', 'ib']);
});

it('ends a subscription that lags too far behind instead of growing', async () => {
  const events = new SandboxEvents();
  const subscription = events.subscribe(new AbortController().signal);
  for (let i = 0; i < 10_001; i++) events.emit(changed('ia'));
  let count = 0;
  for await (const _ of subscription) count++;
  expect(count).toBe(10_000);
});

it('ends with its signal', async () => {
  const events = new SandboxEvents();
  const abort = new AbortController();
  const reading = (async () => {
    for await (const _ of events.subscribe(abort.signal)) throw new Error('nothing was sent');
  })();
  abort.abort();
  await reading;
});
