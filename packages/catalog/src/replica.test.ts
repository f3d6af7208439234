import { MessageChannel } from 'node:worker_threads';
import { create } from '@bufbuild/protobuf';
import { orchestratorProto } from '@islet/contracts';
import { expect, it } from 'vitest';
import { catalogContract } from './catalog.contract.ts';
import { createMemoryCatalog } from './memory.ts';
import { feedReplica, openReplica } from './replica.ts';

function pair() {
  const source = createMemoryCatalog();
  const { port1, port2 } = new MessageChannel();
  const stop = feedReplica(source, port1);
  return { source, replica: openReplica(port2), stop };
}

type Said = Partial<Pick<orchestratorProto.SandboxConfig, 'metadata' | 'envVars' | 'envdAccessToken'>>;

function entry(sandboxId: string, said: Said = {}) {
  const config = { teamId: 't', sandboxId, ...said };
  const sandbox = create(orchestratorProto.SandboxSchema, { config, address: '10.0.0.1' });
  return { sandbox, route: { kind: 'direct' as const } };
}

/** Written at its source, read at the replica, which lists no teams. */
catalogContract('replica', async () => {
  const { source, replica, stop } = pair();
  return {
    ...source,
    get: replica.get,
    listAll: replica.listAll,
    async close() {
      stop();
      replica.close();
      await source.close();
    },
  };
});

it('knows what was put in the same turn, without waiting', () => {
  const { source, replica, stop } = pair();
  void source.put(entry('ia'));
  expect(replica.find('ia')?.sandbox.address).toBe('10.0.0.1');
  void source.remove('ia');
  expect(replica.find('ia')).toBeUndefined();
  stop();
  replica.close();
});

it('begins with what its source holds, and stops with the feed', async () => {
  const source = createMemoryCatalog();
  await source.put(entry('before'));
  const { port1, port2 } = new MessageChannel();
  const stop = feedReplica(source, port1);
  const replica = openReplica(port2);
  expect(replica.find('before')).toBeDefined();
  stop();
  await source.put(entry('after'));
  expect(replica.find('after')).toBeUndefined();
  replica.close();
});

it('gets nothing of what owners say, and all that routing needs', async () => {
  const { source, replica, stop } = pair();
  const said = { metadata: { note: 'mine' }, envVars: { KEY: 'secret' }, envdAccessToken: 'token' };
  await source.put(entry('ia', said));
  const config = replica.find('ia')?.sandbox.config;
  expect(config).toMatchObject({ metadata: {}, envVars: {}, envdAccessToken: 'token' });
  // The source keeps them.
  expect((await source.get('ia'))?.sandbox.config?.envVars).toEqual({ KEY: 'secret' });
  stop();
  replica.close();
});
