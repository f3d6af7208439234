import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Seen, Talk } from './agents/client.ts';
import { openWorld, type World } from './world/world.ts';

const ONLY = { denyOut: ['0.0.0.0/0'] };
const RESET: Seen = { text: '', end: 'reset' };

// Network namespaces need root.
describe.runIf(process.getuid?.() === 0)('a sandbox behind the gateway', () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld(`${process.pid}`);
    await world.internet.ask('name', 'a.example', ['1.1.1.1']);
  });
  afterAll(async () => await world?.[Symbol.asyncDispose]());

  const tls = (address: string, name?: string) => world.client.ask<Seen>('tls', address, name);
  const talk = (address: string, port: number, how: Talk = {}) =>
    world.client.ask<Seen>('talk', address, port, how);

  it('reaches the servers of allowed names, wherever it dials, and no others', async () => {
    await world.allow({ ...ONLY, allowOut: ['a.example'] });
    expect(await tls('9.9.9.9', 'a.example')).toMatchObject({ text: '{"at":"1.1.1.1","name":"a.example"}' });
    expect(await tls('1.1.1.1', 'b.example')).toEqual(RESET);
    expect(await talk('1.1.1.1', 22)).toEqual(RESET);
  });
});
