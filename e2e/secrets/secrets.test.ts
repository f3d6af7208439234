import { createPublicKey, type JsonWebKey, verify } from 'node:crypto';
import { Sandbox, Secret, SecretNotFoundError } from 'e2b';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { OUT, World } from '../network/world.ts';

const VALUE = 'sk-the value that no sandbox sees';
let world: World;
beforeAll(async () => {
  world = await World.open();
});
afterAll(() => world?.[Symbol.asyncDispose]());

const ask = async (sandbox: Sandbox, command: string) =>
  (await sandbox.commands.run(`${command} 2>&1; true`)).stdout;
const https = async () => (await world.seen()).filter(({ kind }) => kind === 'https');

it('keeps secrets by the SDK', async () => {
  const { connection } = world;
  const made = await Secret.create('Mine_1', VALUE, { ...connection, metadata: { a: 'b' } });
  expect(made).toMatchObject({ name: 'mine_1', version: 1, metadata: { a: 'b' } });
  expect(made.secretId).toMatch(/^sec_/);
  expect(await Secret.getInfo(made.secretId, connection)).toEqual(made);
  expect(await Secret.update('mine_1', 'other', connection)).toMatchObject({
    version: 2,
    metadata: { a: 'b' },
  });
  for (const name of ['two', 'three']) await Secret.create(name, 'x', connection);
  const pages = Secret.list({ ...connection, limit: 2 });
  expect(await pages.nextItems()).toHaveLength(2);
  expect(await pages.nextItems()).toHaveLength(1);
  expect(pages.hasNext).toBe(false);
  for (const name of ['mine_1', 'two', 'three']) expect(await Secret.destroy(name, connection)).toBe(true);
  expect(await Secret.exists('two', connection)).toBe(false);
  await expect(Secret.getInfo('two', connection)).rejects.toThrow(SecretNotFoundError);
});

it('fills secrets and tokens in on the way out, and gives them to nobody else', async () => {
  const { connection } = world;
  await Secret.create('k', VALUE, connection);
  const sandbox = await Sandbox.create({
    ...connection,
    iam: { tokens: { sts: Secret.iamToken({ audience: 'sts.test', tokenType: 'JWT-SVID' }) } },
    network: {
      rules: {
        'site.test': [
          {
            transform: ({ iam }) => ({
              headers: { Authorization: `Bearer ${Secret.fill('k')}`, 'X-Token': iam.tokens.sts ?? '' },
            }),
          },
        ],
      },
    },
  });
  try {
    await world.seen();
    expect(await ask(sandbox, 'curl -m 30 -sS -H "authorization: mine" https://site.test/a')).toContain(
      'hello from',
    );
    // By the authorities that Python and a browser's like would take.
    const python = `python3 -c "import urllib.request; print(urllib.request.urlopen('https://site.test/b').read())"`;
    expect(await ask(sandbox, python)).toContain('hello from');
    const seen = await https();
    expect(seen.map(({ path, headers }) => [path, headers?.authorization])).toEqual([
      ['/a', `Bearer ${VALUE}`],
      ['/b', `Bearer ${VALUE}`],
    ]);
    await expectToken(connection.apiUrl, seen[0]?.headers?.['x-token'] ?? '', sandbox.sandboxId);

    // Its own server, whatever it is called: the gateway asks who has the name.
    await ask(sandbox, `curl -m 30 -skS --resolve site.test:443:${OUT.other} https://site.test/c`);
    expect((await https()).map(({ address, path }) => [address, path])).toEqual([[OUT.site, '/c']]);
    expect(await ask(sandbox, 'curl -m 30 -sS http://site.test/d')).toContain('"code":502');
    expect(await ask(sandbox, 'curl -m 30 -sS -H "Host: other.test" https://site.test/e')).toContain(
      '"code":421',
    );
    const inside = await ask(sandbox, 'env; cat /etc/ssl/certs/ca-certificates.crt');
    expect(inside).not.toContain('sk-the');
    expect(JSON.stringify((await sandbox.getInfo()).network)).toContain('e2b.secrets.k');

    await sandbox.pause();
    const resumed = await Sandbox.connect(sandbox.sandboxId, connection);
    expect(await ask(resumed, 'curl -m 30 -sS https://site.test/f')).toContain('hello from');
    await Secret.destroy('k', connection);
    await expect
      .poll(() => ask(resumed, 'curl -m 30 -sS https://site.test/g'), { timeout: 15_000, interval: 1_000 })
      .toContain('"code":502');
  } finally {
    await sandbox.kill();
  }
});

it('has a running sandbox take rules, and trust the gateway from then on', async () => {
  const sandbox = await Sandbox.create(world.connection);
  try {
    await sandbox.updateNetwork({
      rules: { 'site.test': [{ transform: { headers: { 'X-Test-Token': 'fixed' } } }] },
    });
    await world.seen();
    expect(await ask(sandbox, 'curl -m 30 -sS https://site.test/')).toContain('hello from');
    expect((await https()).map(({ headers }) => headers?.['x-test-token'])).toEqual(['fixed']);
  } finally {
    await sandbox.kill();
  }
});

async function expectToken(apiUrl: string, token: string, sandboxId: string): Promise<void> {
  const answer = await fetch(`${apiUrl}/.well-known/jwks.json`);
  const { keys } = (await answer.json()) as { keys: (JsonWebKey & { kid?: string })[] };
  const [header = '', payload = '', signature = ''] = token.split('.');
  const read = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString());
  const key = keys.find(({ kid }) => kid === read(header).kid);
  if (!key) throw new Error('no published key signed the token');
  const signed = Buffer.from(`${header}.${payload}`);
  const publicKey = createPublicKey({ key, format: 'jwk' });
  expect(verify('RSA-SHA256', signed, publicKey, Buffer.from(signature, 'base64url'))).toBe(true);
  expect(read(payload)).toMatchObject({ aud: ['sts.test'], sandbox_id: sandboxId });
}
