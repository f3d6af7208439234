import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readNodesFile } from './nodes-file.ts';
import { readRoleToken } from './token.ts';

const TOKEN = 'a'.repeat(64);
const ONE = {
  id: 'one',
  orchestrator: 'http://127.0.0.1:5008',
  templateManager: 'http://10.0.0.1:5009',
  sandboxProxy: '[::1]:5007',
};

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-nodes-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function written(text: string): Promise<string> {
  const path = join(dir, 'file');
  await writeFile(path, text);
  return path;
}

it('reads the nodes of a list', async () => {
  const path = await written(JSON.stringify([ONE, { ...ONE, id: 'two', labels: { zone: 'a' } }]));
  const addresses = {
    orchestratorUrl: ONE.orchestrator,
    templateManagerUrl: ONE.templateManager,
    proxyAddress: ONE.sandboxProxy,
  };
  expect(await readNodesFile(path, TOKEN)).toEqual([
    { id: 'one', labels: {}, token: TOKEN, ...addresses },
    { id: 'two', labels: { zone: 'a' }, token: TOKEN, ...addresses },
  ]);
});

it.each([
  ['no JSON', 'nodes'],
  ['no node', '[]'],
  ['a node without an address', JSON.stringify([{ ...ONE, orchestrator: undefined }])],
  ['an address that is none', JSON.stringify([{ ...ONE, sandboxProxy: '127.0.0.1' }])],
  ['an address with a path', JSON.stringify([{ ...ONE, orchestrator: 'http://127.0.0.1:5008/path' }])],
  ['what it does not know', JSON.stringify([{ ...ONE, proxy: 'x:1' }])],
])('refuses %s, and shows what a list looks like', async (_, text) => {
  await expect(readNodesFile(await written(text), TOKEN)).rejects.toThrow(
    /is no list of nodes.*"orchestrator"/,
  );
});

it('takes the token from the variable, else from the file, else its own', async () => {
  const file = await written(`${'b'.repeat(40)}\n`);
  expect(await readRoleToken({ text: 'c'.repeat(32), file }, TOKEN)).toBe('c'.repeat(32));
  expect(await readRoleToken({ text: undefined, file }, TOKEN)).toBe('b'.repeat(40));
  expect(await readRoleToken({ text: '', file: undefined }, TOKEN)).toBe(TOKEN);
});

it('takes no token that is missing, short or in two words', async () => {
  const read = (text: string | undefined, file?: string) => readRoleToken({ text, file }, TOKEN);
  await expect(read('short')).rejects.toThrow('ISLET_TOKEN must hold 32 to 512 characters');
  await expect(read(undefined, await written(`${'b'.repeat(40)} c`))).rejects.toThrow('must hold');
  await expect(read(undefined, join(dir, 'nothing'))).rejects.toThrow('is not there');
});
