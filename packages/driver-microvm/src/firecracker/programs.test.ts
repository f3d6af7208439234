import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openHostExec } from '@islet/host';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findFirecracker } from './programs.ts';

describe('programs that cannot be used', () => {
  const host = openHostExec();
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'islet-firecracker-'));
  });
  afterAll(async () => {
    host.close();
    await rm(root, { recursive: true });
  });
  const script = async (name: string, says: string, mode = 0o755) => {
    const path = join(root, name);
    await writeFile(path, `#!/bin/sh\n${says}\n`);
    await chmod(path, mode);
    return path;
  };
  const finding = async (firecracker: string, jailer?: string) =>
    findFirecracker({ firecracker, jailer }, host.exec);

  it('are told apart, with what to do', async () => {
    await expect(finding(join(root, 'no-firecracker'))).rejects.toThrow(
      /is not there: --firecracker takes .*releases/,
    );
    await expect(finding(await script('firecracker-private', 'echo', 0o600))).rejects.toThrow(/chmod 755/);
    await expect(finding(await script('vmm', 'echo Firecracker v1.14.1'))).rejects.toThrow(
      /"firecracker" in its name/,
    );
    await expect(finding(await script('firecracker-broken', 'exit 126'))).rejects.toThrow(
      /does not run .*releases/,
    );
    await expect(finding(await script('firecracker-else', 'echo QEMU'))).rejects.toThrow(
      /is not Firecracker: .*"QEMU"/,
    );
    await expect(finding(await script('firecracker-old', 'echo Firecracker v1.13.2'))).rejects.toThrow(
      /is Firecracker 1\.13\.2, and Islet knows 1\.14/,
    );
    await expect(finding(await script('firecracker-next', 'echo Firecracker v2.0.0'))).rejects.toThrow(
      /is Firecracker 2\.0\.0/,
    );
    const alone = await script('firecracker-v1.15.0-x86_64', 'echo "Firecracker v1.15.0"; echo');
    await expect(finding(alone)).rejects.toThrow(/jailer-v1\.15\.0-x86_64 is not there: --jailer/);
    const jailer = await script('jailer-v1.14.0-x86_64', 'echo Jailer v1.14.0');
    await expect(finding(alone, jailer)).rejects.toThrow(/take both from one release/);
    const own = await script('jailer-v1.15.0-x86_64', 'echo Jailer v1.15.0');
    expect(await finding(alone)).toEqual({
      programs: { firecracker: alone, jailer: own },
      version: '1.15.0',
    });
  });
});
