import type { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newSandbox } from './sandbox.ts';

/*
 * All sandboxes of a template start from one snapshot of its memory, random generators and all. What they draw and who
 * they are must differ nevertheless.
 */
let clones: Sandbox[];
beforeAll(async () => {
  clones = await Promise.all(Array.from({ length: 4 }, () => newSandbox()));
});
afterAll(() => Promise.all((clones ?? []).map((clone) => clone.kill())));

const inEach = (command: string) =>
  Promise.all(clones.map(async ({ commands }) => (await commands.run(command)).stdout.trim()));

describe('two sandboxes never have the same', () => {
  it.each([
    ['crypto.randomUUID() of Node', 'node -p "crypto.randomUUID()"'],
    ['Math.random() of Node', 'node -p "Math.random()"'],
    ['uuid4 of Python', 'python3 -c "import uuid; print(uuid.uuid4())"'],
    ['random() of Python', 'python3 -c "import random; print(random.random())"'],
    ['bytes of /dev/urandom', 'head -c 16 /dev/urandom | od -An -tx1'],
    ['bytes of getrandom', 'python3 -c "import os; print(os.getrandom(16).hex())"'],
    ['mktemp', 'mktemp -u'],
    ['key of OpenSSL', 'openssl rand -hex 16 || python3 -c "import ssl; print(ssl.RAND_bytes(16).hex())"'],
    ['machine id', 'cat /etc/machine-id'],
    ['boot id', 'cat /proc/sys/kernel/random/boot_id'],
    ['generation', 'cat /run/islet/generation'],
    ['hostname', 'hostname'],
    ['sandbox id', 'echo $E2B_SANDBOX_ID'],
  ])('%s', async (_, command) => {
    const first = await inEach(command);
    expect(first).not.toContain('');
    expect(new Set(first).size).toBe(clones.length);
  });

  it('ids of what envd names itself', async () => {
    // envd lived through the snapshot: its own random generator was copied.
    const watchers = await Promise.all(
      clones.map(async (clone) => {
        const { envdAccessToken } = clone as unknown as { envdAccessToken: string };
        const answer = await fetch(`http://${clone.getHost(49_983)}/filesystem.Filesystem/CreateWatcher`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json', 'X-Access-Token': envdAccessToken },
          body: '{"path":"/tmp"}',
        });
        return ((await answer.json()) as { watcherId: string }).watcherId;
      }),
    );
    expect(watchers.every((id) => /^w.{20}$/.test(id))).toBe(true);
    expect(new Set(watchers).size).toBe(clones.length);
  });
});

describe('two sandboxes share', () => {
  it('no files', async () => {
    const [one, other] = clones as [Sandbox, Sandbox];
    await one.files.write('/home/user/mine.txt', '1');
    await one.commands.run('echo changed > /etc/motd', { user: 'root' });
    expect(await other.files.exists('/home/user/mine.txt')).toBe(false);
    expect(
      await other.files.exists('/etc/motd').then((there) => (there ? other.files.read('/etc/motd') : '')),
    ).not.toBe('changed\n');
  });

  it('no processes', async () => {
    const [one, other] = clones as [Sandbox, Sandbox];
    await one.commands.run('sleep 4321', { background: true });
    expect((await other.commands.run('pgrep -fc "[s]leep 4321" || true')).stdout).toBe('0\n');
    expect(await other.commands.list()).toEqual([]);
  });

  it('no environment', async () => {
    const [one] = clones as [Sandbox];
    const other = await newSandbox({ envs: { ONLY_MINE: 'x' } });
    expect((await other.commands.run('echo $ONLY_MINE')).stdout).toBe('x\n');
    expect((await one.commands.run('echo $ONLY_MINE')).stdout).toBe('\n');
    await other.kill();
  });
});
