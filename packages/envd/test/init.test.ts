import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ENVD_VERSION } from '@islet/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OTHER_USER, startTestDaemon, type TestDaemon } from './harness.ts';

let daemon: TestDaemon;
let identity: (path: string) => string;
beforeEach(async () => {
  daemon = await startTestDaemon();
  identity = (path) => readFileSync(join(daemon.directory, '.identity', path), 'utf8');
});
afterEach(() => daemon?.stop());

const envs = async () => (await fetch(`${daemon.url}/envs`)).json();

describe('init', () => {
  it('answers 204 with the version', async () => {
    const response = await daemon.init({});
    expect(response.status).toBe(204);
    expect(response.headers.get('x-envd-version')).toBe(ENVD_VERSION);
  });

  it('sets user, directory and variables of processes and files', async () => {
    await daemon.init({
      defaultUser: OTHER_USER,
      defaultWorkdir: '/usr',
      envVars: { A: '1', E2B_SANDBOX: 'no' },
    });
    const { stdout } = await daemon.sandbox.commands.run('id -un; pwd; echo $A $E2B_SANDBOX; echo $B', {
      envs: { B: '2' },
    });
    expect(stdout).toBe(`${OTHER_USER}\n/usr\n1 true\n2\n`);
    expect(await envs()).toEqual({ A: '1', E2B_SANDBOX: 'true' });
    const info = await daemon.sandbox.files.write(join(daemon.directory, 'mine'), 'x');
    expect((await daemon.rpc('filesystem.Filesystem/Stat', { path: info.path })).body.entry?.owner).toBe(
      OTHER_USER,
    );
  });

  it('replaces all variables, or none if it names none', async () => {
    await daemon.init({ envVars: { A: '1', B: '2' } });
    await daemon.init({ envVars: null });
    await daemon.init({ defaultUser: '' });
    expect(await envs()).toMatchObject({ A: '1', B: '2' });
    await daemon.init({ envVars: { C: '3' } });
    expect(await envs()).toEqual({ C: '3', E2B_SANDBOX: 'true' });
  });

  it('does not apply what is not newer than the last', async () => {
    await daemon.init({ timestamp: '2026-01-01T00:00:00.000000002Z', envVars: { A: 'first' } });
    expect(
      (await daemon.init({ timestamp: '2026-01-01T00:00:00.000000001Z', envVars: { A: 'old' } })).status,
    ).toBe(204);
    expect(
      (await daemon.init({ timestamp: '2026-01-01T01:00:00.000000002+01:00', envVars: { A: 'same' } }))
        .status,
    ).toBe(204);
    expect(await envs()).toMatchObject({ A: 'first' });
    await daemon.init({ timestamp: '2026-01-01T00:00:00.000000003Z', envVars: { A: 'newer' } });
    expect(await envs()).toMatchObject({ A: 'newer' });
  });

  it.each([
    ['no JSON', '{'],
    ['a list', '[]'],
    ['a number as variable', '{"envVars":{"A":1}}'],
    ['a time that is none', '{"timestamp":"yesterday"}'],
    ['a name server that is none', '{"dns":["example.com"]}'],
    ['a host name with a line break', '{"hostname":"a\\nb"}'],
    ['an id that leads elsewhere', '{"sandboxId":"../../etc"}'],
    ['volumes', '{"volumeMounts":[{"nfs_target":"a:/b","path":"/c"}]}'],
  ])('refuses %s', async (_case, body) => {
    const response = await fetch(`${daemon.url}/init`, { method: 'POST', body });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: 400 });
  });

  it('tells the sandbox who it is', async () => {
    const etc = join(daemon.directory, '.identity/etc');
    mkdirSync(etc, { recursive: true });
    writeFileSync(join(etc, 'hosts'), '127.0.0.1 localhost\n10.0.0.1 mine\n');
    symlinkSync('../run/systemd/resolve/stub-resolv.conf', join(etc, 'resolv.conf'));
    const first = {
      sandboxId: 'ione',
      templateId: 'tpl',
      hostname: 'one',
      dns: ['1.1.1.1', '2606:4700::1111'],
    };
    expect((await daemon.init(first)).status).toBe(204);
    expect(await envs()).toMatchObject({ E2B_SANDBOX_ID: 'ione', E2B_TEMPLATE_ID: 'tpl' });
    expect(identity('run/e2b/.E2B_SANDBOX')).toBe('true');
    expect(identity('run/e2b/.E2B_SANDBOX_ID')).toBe('ione');
    expect(identity('run/e2b/.E2B_TEMPLATE_ID')).toBe('tpl');
    expect(identity('etc/hostname')).toBe('one\n');
    expect(identity('etc/resolv.conf')).toBe('nameserver 1.1.1.1\nnameserver 2606:4700::1111\n');
    expect(identity('etc/hosts')).toBe('127.0.0.1 localhost\n10.0.0.1 mine\n127.0.1.1\tone\t# sandbox\n');
    const machineId = identity('etc/machine-id');
    expect(machineId).toMatch(/^[0-9a-f]{32}\n$/);

    await daemon.init(first);
    expect(identity('etc/machine-id')).toBe(machineId);
    await daemon.init({ sandboxId: 'itwo', hostname: 'two', hyperloopIP: '192.0.2.1' });
    expect(identity('etc/machine-id')).not.toBe(machineId);
    expect(await envs()).toMatchObject({ E2B_SANDBOX_ID: 'itwo', E2B_EVENTS_ADDRESS: 'http://192.0.2.1' });
    expect(identity('etc/hosts')).toBe(
      '127.0.0.1 localhost\n10.0.0.1 mine\n127.0.1.1\ttwo\t# sandbox\n192.0.2.1\tevents.e2b.local\t# sandbox\n',
    );
  });

  it('makes the image trust an authority, once', async () => {
    const certs = join(daemon.directory, '.identity/etc/ssl/certs');
    mkdirSync(certs, { recursive: true });
    writeFileSync(join(certs, 'ca-certificates.crt'), 'OTHERS\n');
    await daemon.init({ caBundle: 'FIRST' });
    await daemon.init({ caBundle: 'SECOND' });
    expect(identity('etc/ssl/certs/ca-certificates.crt')).toBe(
      'OTHERS\n# BEGIN sandbox certificates\nSECOND\n# END sandbox certificates\n',
    );
  });
});
