import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { islet, newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';

interface Event {
  id: string;
  type: string;
  sandbox_id: string;
}

const SECRET = 'a secret of thirty-two characters';
const TYPES = ['created', 'killed', 'paused', 'resumed', 'updated'].map(
  (type) => `sandbox.lifecycle.${type}`,
);
const LOOPBACK = ['--webhook-allow', '127.0.0.1'];

let dataDir: string;
let instance: RunningInstance;
let status = 204;
/** What was signed rightly, in the order in which it came. */
const got: Event[] = [];
const receiver = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += chunk;
  const signature = createHash('sha256')
    .update(SECRET + body)
    .digest('base64')
    .replace(/=+$/, '');
  if (request.headers['e2b-signature'] === signature) got.push(JSON.parse(body) as Event);
  response.writeHead(status).end();
});
beforeAll(async () => {
  await new Promise<void>((listening) => receiver.listen(0, '127.0.0.1', listening));
  dataDir = await newDataDir();
  instance = await startInstance(dataDir, LOOPBACK);
});
afterAll(async () => {
  receiver.closeAllConnections();
  receiver.close();
  await instance?.stop('SIGTERM');
  await removeDataDir(dataDir);
});

async function call(method: string, path: string, body?: object) {
  const { apiUrl, apiKey } = instance.access;
  const answer = await fetch(`${apiUrl}${path}`, {
    method,
    headers: { 'X-API-Key': apiKey, ...(body && { 'Content-Type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return text === '' ? undefined : JSON.parse(text);
}

const command = async (...words: string[]) => islet(...words, '--data-dir', dataDir, '--json');
const ofSandbox = (id: string) => got.filter(({ sandbox_id }) => sandbox_id === id);
const typesOf = (id: string) => ofSandbox(id).map(({ type }) => type.slice('sandbox.lifecycle.'.length));

it('tell of a sandbox’s life, in order, once each, as the API does', async () => {
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
  const hook = await call('POST', '/events/webhooks', {
    name: 'e2e',
    url,
    events: TYPES,
    signatureSecret: SECRET,
  });
  const sandbox = await Sandbox.create('base', { ...instance.access, metadata: { a: 'b' } });
  const { sandboxId } = sandbox;
  await sandbox.setTimeout(600_000);
  await sandbox.pause();
  const resumed = await Sandbox.connect(sandboxId, { ...instance.access });
  await resumed.kill();
  await expect.poll(() => typesOf(sandboxId).at(-1)).toBe('killed');
  const told = (await call('GET', `/events/sandboxes/${sandboxId}?orderAsc=true&limit=100`)) as Event[];
  expect(ofSandbox(sandboxId).map(({ id }) => id)).toEqual(told.map(({ id }) => id));
  expect(typesOf(sandboxId).filter((type) => type !== 'updated')).toEqual([
    'created',
    'paused',
    'resumed',
    'killed',
  ]);
  // The record of an attempt is kept behind the answer.
  const deliveries = async () => (await call('GET', `/events/webhooks/${hook.id}/deliveries`)).data;
  await expect.poll(deliveries).toHaveLength(told.length);

  const listed = JSON.parse(await command('webhooks', 'list'));
  expect(listed).toMatchObject([{ id: hook.id, url, enabled: true }]);
  const audit = (await command('audit'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(audit).toContainEqual(
    expect.objectContaining({
      method: 'POST',
      route: '/events/webhooks',
      status: 201,
      objects: { id: hook.id },
    }),
  );
  expect(audit).toContainEqual(
    expect.objectContaining({
      method: 'POST',
      route: '/v2/sandboxes',
      objects: expect.objectContaining({ sandboxID: sandboxId }),
    }),
  );
  expect(JSON.stringify(audit)).not.toContain(instance.access.apiKey);
});

it('outlive a kill of Islet: what was owed is delivered, and what was used stays counted', async () => {
  status = 503;
  const sandbox = await Sandbox.create('base', { ...instance.access });
  const { sandboxId } = sandbox;
  await expect.poll(() => typesOf(sandboxId)).toContain('created');
  await sandbox.kill();
  const owed = async () => {
    const [{ id }] = JSON.parse(await command('webhooks', 'list'));
    const all = JSON.parse(await command('webhooks', 'deliveries', id)) as {
      sandboxId: string;
      state: string;
    }[];
    return all.filter((each) => each.sandboxId === sandboxId).map(({ state }) => state);
  };
  await expect.poll(owed).toEqual(['pending', 'pending']);
  const used = async () => JSON.parse(await command('usage'))[0].total;
  const before = await used();
  expect(before.sandboxes).toBe(2);
  expect(before.vcpuHours).toBeGreaterThan(0);
  await instance.stop('SIGKILL');
  status = 204;
  instance = await startInstance(dataDir, LOOPBACK);
  await expect.poll(owed).toEqual(['delivered', 'delivered']);
  expect([...new Set(typesOf(sandboxId))]).toEqual(['created', 'killed']);
  expect(new Set(ofSandbox(sandboxId).map(({ id }) => id)).size).toBe(2);
  expect(await used()).toMatchObject({ sandboxes: 2, vcpuHours: before.vcpuHours });
});
