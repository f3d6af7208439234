import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type GuestKernel, openHostExec, type Probe, probe, QEMU } from '@islet/orchestrator';
import { type CheckResult, failed, ok, type Trouble, warning } from '../check.ts';
import type { Run } from '../run.ts';

const ID = 'microvm';
const TITLE = 'Virtual machines';
const SETUP = './islet setup --with-microvm';

/** What became of opening /dev/kvm. */
export type KvmDevice = 'missing' | 'forbidden' | 'opens';

export interface MicrovmFacts {
  choice: 'auto' | 'gvisor' | 'microvm';
  /** What is not installed, or undefined. */
  missing: string | undefined;
  device: KvmDevice;
  /** Undefined where it was not asked for. */
  kvm?: Probe | undefined;
  tcg?: Probe | undefined;
}

/** Boots a guest under KVM and, where that does not work and virtual machines are wanted, one without. */
export async function probeMicrovm(
  run: Run,
  choice: MicrovmFacts['choice'],
  machines: GuestKernel,
): Promise<MicrovmFacts> {
  const device = await openKvm();
  const missing = await firstMissing(run, machines);
  if (choice === 'gvisor' || missing !== undefined) return { choice, missing, device };
  const host = openHostExec();
  const cacheDir = await mkdtemp(join(tmpdir(), 'islet-doctor-'));
  try {
    const options = { ...machines, cacheDir, exec: host.exec };
    const kvm = device === 'opens' ? await probe('kvm', options) : undefined;
    const tcg = kvm?.works || choice === 'auto' ? undefined : await probe('tcg', options);
    return { choice, missing, device, kvm, tcg };
  } finally {
    await rm(cacheDir, { recursive: true, force: true });
    host.close();
  }
}

async function openKvm(): Promise<KvmDevice> {
  try {
    await (await open('/dev/kvm', 'r+')).close();
    return 'opens';
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    return ['ENOENT', 'ENXIO', 'ENODEV'].includes(code) ? 'missing' : 'forbidden';
  }
}

async function firstMissing(run: Run, { kernel, initrd }: GuestKernel): Promise<string | undefined> {
  const { code } = await run(QEMU, ['--version']);
  if (code !== 0) return QEMU;
  for (const file of [kernel, initrd]) {
    if ((await run('test', ['-r', file])).code !== 0) return file;
  }
  return undefined;
}

export function evaluateMicrovm(facts: MicrovmFacts): CheckResult {
  const { choice, kvm, missing, tcg } = facts;
  if (choice === 'gvisor') return ok(ID, TITLE, 'not wanted: --isolation gvisor');
  if (missing !== undefined) {
    if (choice === 'auto') return ok(ID, TITLE, `not set up (${SETUP}); sandboxes run under gVisor`);
    return failed(ID, TITLE, {
      detail: `${missing} is missing`,
      cause: '--isolation microvm needs QEMU and a guest kernel',
      fix: SETUP,
    });
  }
  if (kvm?.works) return ok(ID, TITLE, `KVM works: ${kvm.reason}`);
  const trouble = kvmTrouble(facts);
  if (choice === 'auto') return ok(ID, TITLE, `${trouble.detail}, so sandboxes run under gVisor`);
  if (!tcg?.works) {
    return failed(ID, TITLE, {
      ...trouble,
      detail: `${trouble.detail}, and without KVM a guest does not run either: ${tcg?.reason ?? 'not tried'}`,
    });
  }
  const { loopSeconds = 0, hostLoopSeconds = 1 } = tcg;
  const times = Math.round(loopSeconds / hostLoopSeconds);
  return warning(ID, TITLE, {
    ...trouble,
    detail: `slow: ${trouble.detail}, so machines are translated; a loop just took ${loopSeconds.toFixed(2)} s in one and ${hostLoopSeconds.toFixed(2)} s here (${times} times as long)`,
  });
}

/** Why KVM does not work, and what to do about it. */
function kvmTrouble({ device, kvm }: MicrovmFacts): Trouble {
  if (device === 'missing') {
    return {
      detail: '/dev/kvm is missing',
      cause:
        'virtualisation is off in the firmware, or this is a virtual machine without nested virtualisation',
      fix: 'turn on VT-x or AMD-V, or nested virtualisation for this machine; then: modprobe kvm_intel or kvm_amd',
    };
  }
  if (device === 'forbidden') {
    return {
      detail: '/dev/kvm cannot be opened',
      cause: 'a container is not given the device, or a security module denies it',
      fix: 'in a container: docker run --device /dev/kvm …',
    };
  }
  return {
    detail: `/dev/kvm is broken: ${kvm?.reason ?? 'no guest was tried'}`,
    cause:
      'the device opens, but guests do not run; most often nested virtualisation that is only half there',
    fix: 'use a machine with hardware virtualisation of its own, or --isolation gvisor',
  };
}
