import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { ControlPlane } from '../setup/control-plane.ts';
import { footprint } from '../setup/footprint.ts';
import { send } from '../setup/http.ts';
import { END_SANDBOX, VIRTUAL_MACHINES } from '../setup/isolation.ts';
import { machineOf } from '../setup/machine.ts';
import { until } from '../setup/until.ts';

const access = inject('islet');
const { apiUrl, sandboxUrl, apiKey } = access;
const connection = { apiUrl, sandboxUrl, apiKey };
const api = new ControlPlane(access);
const ENVD_PORT = 49983;

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await Sandbox.create({ ...connection, timeoutMs: 300_000 });
});
afterAll(() => sandbox.kill());

const run = async (command: string, user?: 'root') =>
  (await sandbox.commands.run(command, user ? { user } : {})).stdout.trim();

describe('the users of a sandbox', () => {
  it('are `user` with uid 1000, who may become root without a password, and root', async () => {
    expect(await run('id -un; id -u; pwd')).toBe('user\n1000\n/home/user');
    expect(await run('sudo -n id -u')).toBe('0');
    expect(await run('sudo -n -u user id -un')).toBe('user');
    expect(await run('id -un; id -u; echo ~', 'root')).toBe('root\n0\n/root');
  });

  it('are kept apart: `user` reads nothing that is root’s', async () => {
    await run('echo secret > /root/secret; chmod 600 /root/secret', 'root');
    await expect(run('cat /root/secret')).rejects.toThrow();
    expect(await run('sudo cat /root/secret')).toBe('secret');
    await expect(run('kill -9 1')).rejects.toThrow();
  });

  it('see a kernel and processes of their own', async () => {
    const processes = await run('cat /proc/[0-9]*/cmdline | tr "\\0" " "', 'root');
    expect(processes).not.toContain('vitest');
    expect(processes).not.toContain('runsc');
    expect(await run('hostname')).toBe(sandbox.sandboxId);
    expect(await run('dmesg | head -n 1', 'root')).toContain(
      VIRTUAL_MACHINES ? 'Linux version' : 'Starting gVisor',
    );
  });
});

describe('what only the control plane may ask of envd', () => {
  const PATHS = ['/init', '/freeze', '/unfreeze', '/collapse', '/fsfreeze', '/fsthaw', '/upgrade'];
  const ENCODED = [
    '/%69nit',
    '/%2569nit',
    '//init',
    '/./init',
    '/x/../init',
    '/x/%2e%2e/init',
    '/init/',
    '/init?x=1',
    '/%2finit',
    '/x%2f..%2finit',
    '/init%3f',
    '/init;x',
    '/INIT',
    '/init%00',
  ];

  it.each(PATHS)('is answered with 404 at the edge: %s', async (path) => {
    for (const method of ['POST', 'GET', 'PUT']) {
      const answer = await api.edge(sandbox.sandboxId, ENVD_PORT, path, { method });
      expect(answer.status).toBe(404);
      expect(answer.body).toEqual({
        message:
          'This endpoint is reserved for the E2B control plane and is not reachable through the sandbox URL',
        path,
        code: 404,
      });
    }
  });

  it('does not get through in disguise either: the sandbox stays as it is', async () => {
    const marker = '/home/user/before';
    await sandbox.files.write(marker, 'x');
    for (const path of ENCODED) {
      const answer = await api.edge(sandbox.sandboxId, ENVD_PORT, path, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
      });
      expect([400, 401, 404, 405], `${path} answered ${answer.status}: ${answer.text}`).toContain(
        answer.status,
      );
    }
    expect(await sandbox.isRunning()).toBe(true);
    expect(await sandbox.files.read(marker)).toBe('x');
  });

  it('is not told by the host name either', async () => {
    const { port } = new URL(sandboxUrl);
    const headers = { Host: `${ENVD_PORT}-${sandbox.sandboxId}.localhost:${port}` };
    const answer = await send({ method: 'POST', url: `${sandboxUrl}/init`, headers });
    expect(answer.status).toBe(404);
    expect(answer.text).toContain('reserved for the E2B control plane');
  });
});

it('what happened in a sandbox is in its log at once, and when it has ended', async () => {
  const told = await Sandbox.create(connection);
  const exits = async () => {
    const { body } = await api.call<{ logs: { fields: Record<string, string> }[] }>(
      'GET',
      `/v2/sandboxes/${told.sandboxId}/logs?direction=forward`,
    );
    return body.logs.flatMap(({ fields }) => fields.exit_code ?? []);
  };
  const exitWith = (code: number) => expect(told.commands.run(`exit ${code}`)).rejects.toThrow();
  await exitWith(7);
  expect(await exits()).toEqual(['7']);
  await exitWith(8);
  await told.kill();
  expect(await exits()).toEqual(['7', '8']);
});

describe('the init process of a sandbox', () => {
  it('goes on where somebody asks it to end', async () => {
    await run('kill -TERM 1; kill -INT 1; kill -HUP 1', 'root');
    expect(await run('echo on')).toBe('on');
  });

  it('takes the sandbox with it where it ends, and all that it held', async () => {
    const victim = await Sandbox.create({ ...connection, timeoutMs: 120_000 });
    const machine = await machineOf(access.dataDir, victim.sandboxId);
    const ending = victim.commands.run(END_SANDBOX, { user: 'root' });
    await Promise.all([
      expect(ending).rejects.toThrow(),
      until(
        'the sandbox is gone',
        15_000,
        () => api.get(victim.sandboxId),
        ({ status }) => status === 404,
      ),
    ]);
    expect((await api.edge(victim.sandboxId, ENVD_PORT, '/health')).status).toBe(502);
    expect(await victim.isRunning()).toBe(false);
    const left = async () =>
      Object.values(await footprint(access))
        .flat()
        .filter((line: string) => line.includes(machine) || line.includes(victim.sandboxId));
    await until('nothing is left of it', 30_000, left, (lines) => lines.length === 0);
  });
});
