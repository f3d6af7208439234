import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runIslet } from '../setup/command.ts';
import { ControlPlane, type SandboxBody } from '../setup/control-plane.ts';
import {
  type InstanceAccess,
  islet,
  newDataDir,
  type RunningInstance,
  removeDataDir,
  startInstance,
} from '../setup/instance.ts';

const KEY = 'e2b_53ae1fed82754c17ad8077fbc8bcdd90';
const TOKEN = 'sk_e2b_89215020937a4c989cde33d7bc647715';
const OPTIONS = ['--warm-memory', '0'];
const ROOT = resolve(import.meta.dirname, '../..');

let dataDir: string;
let running: RunningInstance | undefined;
beforeAll(async () => {
  dataDir = await newDataDir();
});
afterAll(async () => {
  await running?.stop('SIGTERM');
  await removeDataDir(dataDir);
});

const statusWithKey = async (access: InstanceAccess, key: string) =>
  (await new ControlPlane(access, key).call('GET', '/sandboxes')).status;
/** Makes a new API key if the token is good. */
const statusWithToken = async (access: InstanceAccess, token: string) => {
  const headers = { Authorization: `Bearer ${token}` };
  return (await new ControlPlane(access).call('GET', '/teams', { key: null, headers })).status;
};

async function start(...options: string[]): Promise<InstanceAccess> {
  await running?.stop('SIGTERM');
  running = await startInstance(dataDir, [...OPTIONS, ...options]);
  return running.access;
}

// Each test goes on where the one before it ended: they tell the life of one installation.
describe('the credentials of an installation', () => {
  it('are random and kept for root alone; on this machine the well-known ones work beside them', async () => {
    const access = await start('--secure-by-default');
    for (const [name, text] of [
      ['api-key', access.apiKey],
      ['access-token', access.accessToken],
    ] as const) {
      const file = join(dataDir, 'secrets', name);
      expect(await readFile(file, 'utf8')).toBe(`${text}\n`);
      expect((await stat(file)).mode & 0o777).toBe(0o600);
    }
    expect([access.apiKey, access.accessToken]).not.toEqual([KEY, TOKEN]);
    await using api = new ControlPlane(access, KEY);
    const made = await api.call<SandboxBody>('POST', '/sandboxes', { body: { templateID: 'base' } });
    // The operator wants what does not say `secure` to be secured.
    expect(made).toMatchObject({ status: 201, body: { envdAccessToken: expect.any(String) } });
    expect(await statusWithToken(access, TOKEN)).toBe(200);
  });

  it('that are revoked on the command line are refused from the next request on', async () => {
    const access = running?.access as InstanceAccess;
    const where = ['--json', '--data-dir', dataDir];
    const made = JSON.parse(await islet('tokens', 'create', ...where)) as { id: string; token: string };
    expect(await statusWithToken(access, made.token)).toBe(200);
    await islet('tokens', 'revoke', made.id, ...where);
    expect(await statusWithToken(access, made.token)).toBe(401);
    const key = JSON.parse(await islet('keys', 'create', ...where)) as { id: string; key: string };
    expect(await statusWithKey(access, key.key)).toBe(200);
    await islet('keys', 'revoke', key.id, ...where);
    expect(await statusWithKey(access, key.key)).toBe(401);
  });

  it('that everybody knows forbid a start that others could reach, until they are taken back', async () => {
    await running?.stop('SIGTERM');
    running = undefined;
    const open = [
      'up',
      '--host',
      '0.0.0.0',
      '--api-port',
      '0',
      '--proxy-port',
      '0',
      '--sandbox-proxy-port',
      '0',
    ];
    const ports = ['--orchestrator-port', '0', '--template-manager-port', '0', '--data-dir', dataDir];
    const asked = await runIslet([...open, ...ports, '--local-dev-key']);
    expect(asked).toMatchObject({ code: 1, stdout: expect.stringContaining('exclude each other') });
    const refused = await runIslet([...open, ...ports]);
    expect(refused.code).toBe(1);
    const said = refused.stdout + refused.stderr;
    expect(said).toContain('0.0.0.0');
    const command = /Take it back with: (.*)/.exec(said)?.[1] ?? said;
    const { stdout } = await promisify(execFile)('sh', ['-c', command], { cwd: ROOT });
    // The token could have made new keys.
    expect(stdout).toContain('access token');
    const access = await start('--host', '0.0.0.0');
    expect(await statusWithKey(access, KEY)).toBe(401);
    expect(await statusWithToken(access, TOKEN)).toBe(401);
    expect(await statusWithKey(access, access.apiKey)).toBe(200);
  });

  it('that were taken back stay so, until they are asked for', async () => {
    let access = await start();
    expect(await statusWithKey(access, KEY)).toBe(401);
    access = await start('--local-dev-key');
    expect(await statusWithKey(access, KEY)).toBe(200);
    const { stdout } = await runIslet(['keys', 'revoke', KEY, '--data-dir', dataDir]);
    expect(stdout).toContain('access token');
    // Both at once, in the running Islet.
    expect(await statusWithKey(access, KEY)).toBe(401);
    expect(await statusWithToken(access, TOKEN)).toBe(401);
  });
});
