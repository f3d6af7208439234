import { create } from '@bufbuild/protobuf';
import type { SignedFile } from '@islet/catalog';
import { orchestratorProto, type Sandbox, signFile } from '@islet/contracts';
import { expect, it } from 'vitest';
import { KnownSandboxes } from './known-sandboxes.ts';
import { createFindSigner } from './signers.ts';

const COUNT = 2_000;

function filled(): KnownSandboxes {
  const known = new KnownSandboxes();
  for (let index = 0; index < COUNT; index++) {
    const config = { sandboxId: `s${index}`, ...(index % 2 ? { envdAccessToken: `token-${index}` } : {}) };
    known.put(create(orchestratorProto.SandboxSchema, { config }) as Sandbox);
  }
  return known;
}

type Fields = Omit<SignedFile, 'signature' | 'operations'>;

function signed(index: number, over: Partial<Fields> = {}): SignedFile {
  const { path = '/a b', username = '', expiration } = over;
  const fields = { path, username, operation: 'read' as const, envdAccessToken: `token-${index}` };
  const signature = signFile(expiration === undefined ? fields : { ...fields, expiration });
  return { path, username, expiration, signature, operations: ['read'] };
}

const find = createFindSigner(filled());

it('finds the sandbox whose token signed, whatever was signed', async () => {
  expect(await find(signed(1))).toBe('s1');
  expect(await find(signed(COUNT - 1))).toBe(`s${COUNT - 1}`);
  expect(await find(signed(7, { expiration: 17, username: 'root' }))).toBe('s7');
  expect(await find({ ...signed(7), operations: ['write', 'read'] })).toBe('s7');
});

it('finds none for what no token signed', async () => {
  const file = signed(7);
  const others: Partial<SignedFile>[] = [
    { path: '/another' },
    { username: 'root' },
    { expiration: 17 },
    { operations: ['write'] },
    { signature: file.signature.slice(0, -1) },
    { signature: '' },
  ];
  for (const other of others) expect(await find({ ...file, ...other })).toBeUndefined();
});

it('leaves the thread to others while many search in vain', async () => {
  let ended = 0;
  const bad = Array.from({ length: 20 }, () => find({ ...signed(7), path: '/another' }));
  for (const search of bad) void search.then(() => ended++);
  // Each turn of the loop does some tokens at most.
  let turns = 0;
  while (ended < bad.length) {
    await new Promise(setImmediate);
    turns++;
  }
  expect(turns).toBeGreaterThan((20 * COUNT) / 2 / 32);
});
