import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { islet, newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';
import { type Certificates, makeCertificates } from '../setup/test-authority.ts';

interface Event {
  id: string;
  type: string;
  sandbox_id: string;
}

const SECRET = 'a secret of thirty-two characters';
const TYPES = ['created', 'killed', 'paused', 'resumed', 'updated'].map(
  (type) => `sandbox.lifecycle.${type}`,
);
let dataDir: string;
let folder: string;
/** Of two authorities, of which Islet is told to trust one. */
let certificates: { trusted: Certificates; strange: Certificates };
let instance: RunningInstance;
let status = 204;
/** What was signed rightly, in the order in which it came. */
const got: Event[] = [];
const receiver = createServer(receive(got));
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'islet-webhooks-'));
  const certify = async (name: string) =>
    makeCertificates(await mkdtemp(join(folder, name)), ['DNS:localhost']);
  certificates = { trusted: await certify('trusted'), strange: await certify('strange') };
  await listen(receiver);
  dataDir = await newDataDir();
  instance = await start();
});
afterAll(async () => {
  receiver.closeAllConnections();
  receiver.close();
  await instance?.stop('SIGTERM');
  await removeDataDir(dataDir);
  await rm(folder, { recursive: true, force: true });
});

function start(): Promise<RunningInstance> {
  return startInstance(dataDir, ['--webhook-allow', '127.0.0.1'], {
    env: { NODE_EXTRA_CA_CERTS: certificates.trusted.authority },
  });
}

function receive(events: Event[]): RequestListener {
  return async (request, response) => {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    const signature = createHash('sha256')
      .update(SECRET + body)
      .digest('base64')
      .replace(/=+$/, '');
    if (request.headers['e2b-signature'] === signature) events.push(JSON.parse(body) as Event);
    response.writeHead(status).end();
  };
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return (server.address() as AddressInfo).port;
}

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

async function readAudit(): Promise<{ method: string }[]> {
  return (await command('audit'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

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
  const audit = await readAudit();
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
  const made = JSON.parse(await command('keys', 'create', '--name', 'made while Islet was down'));
  instance = await start();
  await expect.poll(owed).toEqual(['delivered', 'delivered']);
  expect([...new Set(typesOf(sandboxId))]).toEqual(['created', 'killed']);
  expect(new Set(ofSandbox(sandboxId).map(({ id }) => id)).size).toBe(2);
  expect(await used()).toMatchObject({ sandboxes: 2, vcpuHours: before.vcpuHours });
  const record = (await readAudit()).find(({ method }) => method === 'createKey');
  expect(record).toMatchObject({
    via: 'control',
    actor: 'operator',
    objects: { name: made.name },
    status: 200,
  });
});

it('go by TLS to who has a certificate of an authority that is trusted, and to nobody else', async () => {
  const open = async (name: keyof typeof certificates) => {
    const { key, cert } = certificates[name];
    const events: Event[] = [];
    const server = createTlsServer({ key: await readFile(key), cert: await readFile(cert) }, receive(events));
    const url = `https://localhost:${await listen(server)}/`;
    const { id } = await call('POST', '/events/webhooks', {
      ...{ name, url, events: TYPES, signatureSecret: SECRET },
    });
    const close = async () => {
      await call('DELETE', `/events/webhooks/${id}`);
      server.closeAllConnections();
      server.close();
    };
    return { id, events, [Symbol.asyncDispose]: close };
  };
  await using trusted = await open('trusted');
  await using strange = await open('strange');
  const { sandboxId } = await Sandbox.create('base', { ...instance.access });
  await Sandbox.kill(sandboxId, { ...instance.access });
  await expect.poll(() => trusted.events.map(({ sandbox_id }) => sandbox_id)).toEqual([sandboxId, sandboxId]);
  const refused = async () => {
    const { data } = await call('GET', `/events/webhooks/${strange.id}/deliveries`);
    return data.flatMap(({ attempts }: { attempts: { errorMessage: string }[] }) =>
      attempts.map(({ errorMessage }) => errorMessage),
    );
  };
  await expect.poll(refused).toContainEqual(expect.stringMatching(/certificate/));
  expect(strange.events).toEqual([]);
});
