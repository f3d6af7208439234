import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Sandbox, Template, Volume } from 'e2b';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type RunningInstance, startInstance } from '../setup/instance.ts';
import { until } from '../setup/until.ts';
import { launcherOf, processesOf } from './user.ts';

const run = promisify(execFile);
const user = inject('ordinaryUser');
const shared = inject('islet');

const connectionTo = ({ access }: Pick<RunningInstance, 'access'>) => ({
  apiUrl: access.apiUrl,
  sandboxUrl: access.sandboxUrl,
  apiKey: access.apiKey,
});

describe('an Islet of an ordinary user', () => {
  const connection = connectionTo({ access: shared });

  it('is nobody else to the machine: no process is root’s, and none has a right there', async () => {
    const status = await readFile(`/proc/${shared.pid}/status`, 'utf8');
    expect(status).toMatch(new RegExp(`^Uid:\\t${user.uid}\\t${user.uid}\\t`, 'm'));
    const map = await readFile(`/proc/${shared.pid}/uid_map`, 'utf8');
    expect(map).toMatch(new RegExp(`^ +0 +${user.uid} +1$`, 'm'));
  });

  it('lets sandboxes be paused, forked and gated', async () => {
    const network = { denyOut: ['0.0.0.0/0'] };
    const sandbox = await Sandbox.create({ ...connection, network });
    try {
      await sandbox.files.write('/home/user/kept', 'kept');
      await sandbox.pause();
      const resumed = await Sandbox.connect(sandbox.sandboxId, connection);
      expect(await resumed.files.read('/home/user/kept')).toBe('kept');
      const { snapshotId } = await resumed.createSnapshot();
      const clone = await Sandbox.create(snapshotId, connection);
      expect(await clone.files.read('/home/user/kept')).toBe('kept');
      await clone.kill();
      const reached = await resumed.commands.run('curl -s -m 5 http://1.1.1.1 || echo denied');
      expect(reached.stdout).toBe('denied\n');
    } finally {
      await sandbox.kill();
    }
  });

  it('builds templates whose steps remove what is below them', async () => {
    const steps = 'rm -rf /usr/share/perl && mkdir /usr/share/perl && touch /usr/share/perl/new';
    await Template.build(Template().fromBaseImage().runCmd(steps, { user: 'root' }), 'rootless', connection);
    const sandbox = await Sandbox.create('rootless', connection);
    expect((await sandbox.commands.run('ls /usr/share/perl')).stdout).toBe('new\n');
    await sandbox.kill();
  });

  it('has no volumes, and says so', async () => {
    await expect(Volume.create('none', connection)).rejects.toThrow(/volume/i);
  });

  it('is left alone by a second start in its data directory', async () => {
    const [program, ...words] = launcherOf(user);
    const second = run(program, [...words, 'up', '--data-dir', shared.dataDir, '--api-port', '0']);
    await expect(second).rejects.toThrow(/already runs \(pid \d+\)/);
    expect((await fetch(`${shared.apiUrl}/health`)).ok).toBe(true);
  });

  it('is asked by the other commands of the same user', async () => {
    const [program, ...words] = launcherOf(user);
    const keys = await run(program, [...words, 'keys', 'list', '--data-dir', shared.dataDir]);
    expect(keys.stdout).toContain('first start');
    const doctor = [...words, 'doctor', '--json', '--isolation', 'gvisor', '--data-dir', shared.dataDir];
    const { stdout } = await run(program, doctor);
    const { checks } = JSON.parse(stdout) as { checks: { id: string; status: string }[] };
    expect(checks.filter(({ status }) => status === 'failed')).toEqual([]);
    for (const [id, status] of [
      ['rootless', 'ok'],
      ['running', 'ok'],
      ['loop-devices', 'warning'],
    ]) {
      expect(checks).toContainEqual(expect.objectContaining({ id, status }));
    }
  });
});

describe('one that is killed', () => {
  const dataDir = join(user.home, 'killed');
  const start = () =>
    startInstance(dataDir, ['--cache-dir', join(user.home, '.cache/islet')], { launcher: launcherOf(user) });
  let before: string[];
  let instance: RunningInstance | undefined;
  beforeAll(async () => {
    before = await processesOf(user);
    instance = await start();
  });
  afterAll(async () => {
    await instance?.stop('SIGKILL');
    await rm(dataDir, { recursive: true, force: true });
  });

  it('finds its sandboxes again, at other ports, and leaves nothing when it is stopped', async () => {
    const first = instance ?? (await start());
    const sandbox = await Sandbox.create({ ...connectionTo(first), timeoutMs: 300_000 });
    await sandbox.commands.run('echo here > /tmp/mark');
    await first.stop('SIGKILL');
    const second = await start();
    instance = second;
    const again = await Sandbox.connect(sandbox.sandboxId, connectionTo(second));
    expect((await again.commands.run('cat /tmp/mark')).stdout).toBe('here\n');
    expect(await second.stop('SIGTERM')).toBe(0);
    // Those of the other Islet come and go.
    const left = async () =>
      (await processesOf(user)).filter(
        (line) => !before.includes(line) && (line.includes(dataDir) || /sleep infinity|pasta/.test(line)),
      );
    await until('nothing of it runs', 20_000, left, (lines) => lines.length === 0);
  });
});
