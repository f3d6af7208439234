import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { Sandbox } from 'e2b';
import { describe, expect, inject, it } from 'vitest';
import { machineOf } from '../setup/machine.ts';

/** Islet takes the same variable for --firecracker: with it, all of this project's tests run on Firecracker's machines. */
const why = !process.env.ISLET_FIRECRACKER
  ? 'ISLET_FIRECRACKER does not name the program'
  : !existsSync('/dev/kvm') && '/dev/kvm is not there';
if (why) console.warn(`Firecracker's machines are not tested: ${why}`);

/** The host's process that is one machine's Firecracker. */
async function firecrackerOf(machine: string): Promise<number | undefined> {
  for (const name of await readdir('/proc')) {
    const command = /^\d+$/.test(name) ? await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '') : '';
    if (command.includes(`--id\0${machine}\0`) && command.includes('firecracker')) return Number(name);
  }
  return undefined;
}

describe.skipIf(why)('the Firecracker of a sandbox', () => {
  const { apiUrl, sandboxUrl, apiKey, dataDir } = inject('islet');
  const connection = { apiUrl, sandboxUrl, apiKey, requestTimeoutMs: 120_000 };

  it('is jailed, filtered, without privileges, in its cgroup, and ends with the sandbox', async () => {
    const sandbox = await Sandbox.create('base', { ...connection, timeoutMs: 600_000 });
    try {
      const machine = await machineOf(dataDir, sandbox.sandboxId);
      const pid = await firecrackerOf(machine);
      const status = await readFile(`/proc/${pid}/status`, 'utf8');
      const field = (name: string) => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)?.[1] ?? '';
      expect(Number(field('Uid').split('\t')[0])).toBeGreaterThanOrEqual(1_000_000_000);
      expect(BigInt(`0x${field('CapEff')}`)).toBe(0n);
      expect(field('NoNewPrivs')).toBe('1');
      expect(field('Seccomp')).toBe('2');
      const inside = await readdir(`/proc/${pid}/root`);
      expect(inside).toEqual(
        expect.arrayContaining(['dev', 'disk-0', 'guest.erofs', 'memory', 'root.erofs']),
      );
      expect(inside).not.toContain('etc');
      expect(await readFile(`/proc/${pid}/cgroup`, 'utf8')).toContain(`/${machine}`);
      await sandbox.kill();
      expect(await firecrackerOf(machine)).toBeUndefined();
    } finally {
      await Sandbox.kill(sandbox.sandboxId, connection);
    }
  });
});
