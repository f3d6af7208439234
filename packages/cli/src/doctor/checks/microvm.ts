import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  FirecrackerUnusable,
  type FoundFirecracker,
  findFirecracker,
  type MachinePrograms,
  type Probe,
  probe,
  probeFirecracker,
  QEMU,
} from '@islet/driver-microvm';
import { openHostExec } from '@islet/host';
import { type CheckResult, failed, ok, type Trouble, warning } from '../check.ts';
import type { Run } from '../run.ts';

const ID = 'microvm';
const TITLE = 'Virtual machines';
const SETUP = './islet setup --with-microvm';

/** What became of opening /dev/kvm. */
export type KvmDevice = 'missing' | 'forbidden' | 'opens';

export interface MicrovmFacts {
  choice: 'auto' | 'gvisor' | 'microvm';
  /** What --firecracker names: why it cannot be used, or its version. Undefined: QEMU runs machines. */
  firecracker?: { unusable: string } | { version: string } | undefined;
  /** What is not installed, or undefined. */
  missing: string | undefined;
  device: KvmDevice;
  /** Undefined if it was not asked for. */
  kvm?: Probe | undefined;
  tcg?: Probe | undefined;
}

/** Boots a guest under KVM and, if that does not work and virtual machines are wanted, one without. */
export async function probeMicrovm(
  run: Run,
  choice: MicrovmFacts['choice'],
  machines: MachinePrograms,
): Promise<MicrovmFacts> {
  const device = await openKvm();
  if (choice === 'gvisor') return { choice, missing: undefined, device };
  const host = openHostExec();
  const cacheDir = await mkdtemp(join(tmpdir(), 'islet-doctor-'));
  try {
    const { exec } = host;
    const found = machines.firecracker && (await lookFor(findFirecracker(machines.firecracker, exec)));
    if (found && 'unusable' in found) return { choice, firecracker: found, missing: undefined, device };
    const missing = await firstMissing(run, machines);
    const facts = { choice, firecracker: found && { version: found.version }, missing, device };
    if (missing !== undefined) return facts;
    const options = { ...machines, cacheDir, exec };
    if (found) {
      return { ...facts, kvm: device === 'opens' ? await probeFirecracker(found, options) : undefined };
    }
    const kvm = device === 'opens' ? await probe('kvm', options) : undefined;
    const tcg = kvm?.works || choice === 'auto' ? undefined : await probe('tcg', options);
    return { ...facts, kvm, tcg };
  } finally {
    await rm(cacheDir, { recursive: true, force: true });
    host.close();
  }
}

function lookFor(finding: Promise<FoundFirecracker>): Promise<FoundFirecracker | { unusable: string }> {
  return finding.catch((error: unknown) => {
    if (error instanceof FirecrackerUnusable) return { unusable: error.message };
    throw error;
  });
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

async function firstMissing(run: Run, machines: MachinePrograms): Promise<string | undefined> {
  const { firecracker, initrd, kernel } = machines;
  if (!firecracker && (await run(QEMU, ['--version'])).code !== 0) return QEMU;
  for (const file of [kernel, initrd]) {
    if ((await run('test', ['-r', file])).code !== 0) return file;
  }
  return undefined;
}

export function evaluateMicrovm(facts: MicrovmFacts): CheckResult {
  const { choice, firecracker, kvm, missing, tcg } = facts;
  if (choice === 'gvisor') return ok(ID, TITLE, 'not wanted: --isolation gvisor');
  if (firecracker && 'unusable' in firecracker) {
    return failed(ID, TITLE, {
      detail: firecracker.unusable,
      cause: 'a start with --firecracker needs both programs of a release',
      fix: 'mend what --firecracker and --jailer name, or leave them out: QEMU runs machines then',
    });
  }
  if (missing !== undefined) {
    if (choice === 'auto') return ok(ID, TITLE, `not set up (${SETUP}); sandboxes run under gVisor`);
    return failed(ID, TITLE, {
      detail: `${missing} is missing`,
      cause: `--isolation microvm needs ${firecracker ? '' : 'QEMU and '}a guest kernel`,
      fix: SETUP,
    });
  }
  const under = firecracker ? `Firecracker ${firecracker.version}, ` : '';
  if (kvm?.works) return ok(ID, TITLE, `${under}KVM works: ${kvm.reason}`);
  const trouble = kvmTrouble(facts);
  if (choice === 'auto') return ok(ID, TITLE, `${trouble.detail}, so sandboxes run under gVisor`);
  if (firecracker) {
    const detail = `${under}which needs KVM: ${trouble.detail}`;
    return failed(ID, TITLE, {
      ...{ ...trouble, detail },
      fix: `${trouble.fix}; or leave --firecracker out: QEMU also runs without KVM, if slowly`,
    });
  }
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
