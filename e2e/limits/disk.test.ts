import { NotEnoughSpaceError, Sandbox } from 'e2b';
import { describe, expect, inject, it } from 'vitest';
import { rejection, withSandbox } from '../sdk/sandbox.ts';
import { ControlPlane } from '../setup/control-plane.ts';
import { VIRTUAL_MACHINES } from '../setup/isolation.ts';

const access = inject('islet');
const api = new ControlPlane(access);
const MIB = 1024 * 1024;
/** What a virtual machine's own file system takes for its tables meanwhile, rounded up. */
const TABLES_MIB = VIRTUAL_MACHINES ? 1 : 0;

interface DiskFigures {
  totalMb: number;
  usedMb: number;
  freeMb: number;
}

/** What `df` shows of the root file system. */
async function df(sandbox: Sandbox): Promise<DiskFigures> {
  const { stdout } = await sandbox.commands.run('df --block-size=1M --output=size,used,avail / | tail -n 1');
  const [totalMb, usedMb, freeMb] = stdout.trim().split(/\s+/).map(Number) as [number, number, number];
  return { totalMb, usedMb, freeMb };
}

/** Writes one file until there is no room. Gives dd's exit code, what it said, and the bytes written. */
async function fill(sandbox: Sandbox, path = '/home/user/big') {
  const { stdout } = await sandbox.commands.run(
    `dd if=/dev/zero of=${path} bs=1M 2>&1; echo "exit $?"; stat -c 'size %s' ${path}`,
    { timeoutMs: 0 },
  );
  return { said: stdout, bytes: Number(/^size (\d+)$/m.exec(stdout)?.[1]) };
}

async function expectFull(sandbox: Sandbox): Promise<void> {
  const { freeMb } = await df(sandbox);
  const { said, bytes } = await fill(sandbox);
  expect(said).toMatch(/No space left on device[\s\S]*exit 1/);
  expect(bytes / MIB).toBeGreaterThan(freeMb - 2);
  expect(bytes / MIB).toBeLessThanOrEqual(freeMb + 1);
  expect(await df(sandbox)).toMatchObject({ freeMb: 0 });
}

describe('the disk of a sandbox', () => {
  it('has the size that the API names, of which df shows the template’s files as used', async () => {
    await withSandbox({}, async (sandbox) => {
      const { diskSizeMB } = (await api.get(sandbox.sandboxId)).body;
      const { totalMb, usedMb, freeMb } = await df(sandbox);
      expect(totalMb).toBe(diskSizeMB);
      // ext4, which a virtual machine's disk is of, keeps some blocks from everybody.
      expect(usedMb + freeMb).toBeGreaterThanOrEqual(totalMb - (VIRTUAL_MACHINES ? 16 : 0));
      expect(usedMb + freeMb).toBeLessThanOrEqual(totalMb + 1); // df rounds up
      expect(usedMb).toBeGreaterThan(200); // Debian with Python, Node and git
    });
  });

  it('refuses what does not fit, in commands and in uploads, and takes it again when there is room', async () => {
    await withSandbox({}, async (sandbox) => {
      const before = await df(sandbox);
      await expectFull(sandbox);
      const tooMuch = sandbox.files.write('/home/user/more', 'x'.repeat(2 * MIB));
      expect(await rejection(tooMuch)).toBeInstanceOf(NotEnoughSpaceError);
      // Programs still run, and what is there can be read and removed.
      expect((await sandbox.commands.run('head -c 3 /home/user/big | wc -c; rm /home/user/big')).stdout).toBe(
        '3\n',
      );
      const isFreeBut = async (mib: number) => {
        const { freeMb } = await df(sandbox);
        expect(freeMb).toBeLessThanOrEqual(before.freeMb - mib);
        expect(freeMb).toBeGreaterThanOrEqual(before.freeMb - mib - TABLES_MIB);
      };
      await isFreeBut(0);
      await sandbox.files.write('/home/user/more', 'x'.repeat(2 * MIB));
      await isFreeBut(2);
    });
  });

  it('is full everywhere at once, /tmp and root’s folder too, and not for others', async () => {
    await withSandbox({}, (other) =>
      withSandbox({}, async (sandbox) => {
        await expectFull(sandbox);
        for (const path of ['/tmp/x', '/root/x', '/opt/x', '/usr/x']) {
          const { stdout } = await sandbox.commands.run(`head -c 5000 /dev/zero > ${path} || echo refused`, {
            user: 'root',
          });
          expect(stdout, path).toBe('refused\n');
        }
        expect((await df(other)).freeMb).toBeGreaterThan(100);
        await other.files.write('/home/user/note', 'x'.repeat(MIB));
      }),
    );
  });

  it('does not count as memory', async () => {
    await withSandbox({}, async (sandbox) => {
      // Twice: what is written together is more than its memory.
      await expectFull(sandbox);
      await sandbox.commands.run('rm /home/user/big');
      await expectFull(sandbox);
      expect((await sandbox.commands.run('echo alive')).stdout).toBe('alive\n');
    });
  });

  it('is as full and as big after a pause', async () => {
    await withSandbox({}, async (sandbox) => {
      await sandbox.commands.run('head -c 50M /dev/urandom > /home/user/kept; rm /etc/motd; touch /etc/new', {
        user: 'root',
      });
      const hash = async (of: Sandbox) =>
        (await of.commands.run('md5sum /home/user/kept; ls /etc/motd /etc/new; true')).stdout;
      const [before, figures] = [await hash(sandbox), await df(sandbox)];
      expect(before).toMatch(/\/home\/user\/kept\n\/etc\/new\n/);
      await sandbox.pause();
      const resumed = await sandbox.connect();
      expect(await hash(resumed)).toBe(before);
      expect(await df(resumed)).toEqual(figures);
      await expectFull(resumed);
    });
  });

  it('is as big in a fork, which fills its own and not the original’s', async () => {
    await withSandbox({}, async (sandbox) => {
      await sandbox.commands.run('head -c 50M /dev/urandom > /home/user/kept');
      const figures = await df(sandbox);
      const [fork] = await sandbox.fork({ timeoutMs: 300_000 });
      if (!(fork instanceof Sandbox)) throw fork;
      try {
        expect(await df(fork)).toEqual(figures);
        await expectFull(fork);
        expect(await df(sandbox)).toEqual(figures);
      } finally {
        await fork.kill();
      }
    });
  });

  it('is shown in the metrics', async () => {
    await withSandbox({}, async (sandbox) => {
      await sandbox.commands.run('head -c 100M /dev/zero > /home/user/big');
      const { totalMb, usedMb } = await df(sandbox);
      await expect
        .poll(async () => (await sandbox.getMetrics()).at(-1)?.diskUsed ?? 0, { interval: 500 })
        .toBeGreaterThan((usedMb - 5) * MIB);
      expect((await sandbox.getMetrics()).at(-1)?.diskTotal).toBe(totalMb * MIB);
    });
  });

  it('cannot be grown, left or written around by root', async () => {
    await withSandbox({}, async (sandbox) => {
      const before = await df(sandbox);
      const asRoot = async (command: string) =>
        (await sandbox.commands.run(`${command} 2>&1; true`, { user: 'root' })).stdout;
      await asRoot('mount -o remount,size=20g /');
      expect(await df(sandbox)).toEqual(before);
      // Neither the image nor the disk itself is mounted anywhere.
      const mounts = (await asRoot('cat /proc/mounts')).split('\n').map((line) => line.split(' '));
      const fromHost = mounts.flatMap(([, path, kind]) => (kind === '9p' ? (path ?? '') : []));
      expect(fromHost.filter((path) => !path.startsWith('/opt/islet'))).toEqual([]);
      expect(mounts.filter(([, path]) => path?.includes('disk'))).toEqual([]);
      expect(await asRoot('ls /dev/islet-disk')).toContain('No such file');
      expect(await asRoot('touch /opt/islet/x')).toContain('Read-only file system');
    });
  });
});
