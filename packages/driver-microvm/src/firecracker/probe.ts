import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  KVM_TIMEOUT_MS,
  kvmMissing,
  PROBE_ARGUMENTS,
  type Probe,
  type ProbeOptions,
  rememberProbe,
  tryGuest,
} from '../probe.ts';
import type { FoundFirecracker } from './programs.ts';

/** Boots a guest under Firecracker, which needs KVM, that runs a short program and ends. */
export function probeFirecracker(found: FoundFirecracker, options: ProbeOptions): Promise<Probe> {
  const version = `${found.programs.firecracker} ${found.version}`;
  return rememberProbe('firecracker', version, options, async () => {
    const missing = await kvmMissing();
    return missing === undefined ? bootGuest(found, options) : { works: false, reason: missing, seconds: 0 };
  });
}

/** The same, whatever is known of KVM. */
export async function bootGuest(
  { programs }: FoundFirecracker,
  { exec, initrd, kernel }: ProbeOptions,
): Promise<Probe> {
  const dir = await mkdtemp(join(tmpdir(), 'islet-firecracker-'));
  try {
    const config = join(dir, 'machine.json');
    await writeFile(
      config,
      JSON.stringify({
        'boot-source': {
          kernel_image_path: kernel,
          initrd_path: initrd,
          boot_args: `${PROBE_ARGUMENTS} reboot=k pci=off`,
        },
        'machine-config': { vcpu_count: 1, mem_size_mib: 256 },
        drives: [],
      }),
    );
    const args = ['--no-api', '--level', 'Error', '--config-file', config];
    return await tryGuest(exec, KVM_TIMEOUT_MS, programs.firecracker, args);
  } finally {
    await rm(dir, { recursive: true });
  }
}
