import { readFile } from 'node:fs/promises';
import type { Exec } from '@islet/host';
import {
  KVM_TIMEOUT_MS,
  kvmMissing,
  PROBE_ARGUMENTS,
  type Probe,
  type ProbeOptions,
  rememberProbe,
  tryGuest,
} from '../probe.ts';

export const QEMU = 'qemu-system-x86_64';

/** What runs a machine's instructions. */
export type Accelerator =
  | { kind: 'kvm' }
  /** QEMU's translator. `tscKhz`: what the host's time stamp counter counts, since a guest has nothing to measure it by. */
  | { kind: 'tcg'; tscKhz: number };

/** Translated, on a machine that has other work. */
const TCG_TIMEOUT_MS = 120_000;

/** Has QEMU translate instructions. @throws Error if nothing tells the rate of the host's time stamp counter. */
export async function translator(exec: Exec): Promise<Accelerator> {
  const kernelLog = await exec('dmesg', []).catch(() => '');
  return { kind: 'tcg', tscKhz: readTscKhz(kernelLog, await readFile('/proc/cpuinfo', 'utf8')) };
}

/**
 * Boots a guest under QEMU that runs a short program and ends. That /dev/kvm is there and opens proves nothing: on some hosts guests
 * hang in it, or die.
 */
export async function probe(kind: Accelerator['kind'], options: ProbeOptions): Promise<Probe> {
  const version = await options.exec(QEMU, ['--version']);
  return rememberProbe(kind, version.split('\n')[0] as string, options, () =>
    kind === 'kvm' ? probeKvm(options) : probeTcg(options),
  );
}

async function probeKvm(options: ProbeOptions): Promise<Probe> {
  const missing = await kvmMissing();
  if (missing !== undefined) return { works: false, reason: missing, seconds: 0 };
  return bootGuest(options, ['-accel', 'kvm', '-cpu', 'host'], '', KVM_TIMEOUT_MS);
}

async function probeTcg(options: ProbeOptions): Promise<Probe> {
  const accelerator = await translator(options.exec);
  const args = accelerator.kind === 'tcg' ? `tsc_early_khz=${accelerator.tscKhz}` : '';
  return bootGuest(options, ['-accel', 'tcg', '-cpu', 'max'], args, TCG_TIMEOUT_MS);
}

function bootGuest(
  { exec, kernel, initrd }: ProbeOptions,
  acceleration: readonly string[],
  kernelArguments: string,
  timeoutMs: number,
): Promise<Probe> {
  return tryGuest(exec, timeoutMs, QEMU, [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio'],
    ...['-M', 'microvm,acpi=on,pit=off,pic=off,rtc=on', '-bios', 'qboot.rom', '-m', '256', '-smp', '1'],
    ...acceleration,
    ...['-kernel', kernel, '-initrd', initrd],
    ...['-append', `${PROBE_ARGUMENTS} reboot=t tsc=reliable ${kernelArguments}`],
  ]);
}

/**
 * kHz of the time stamp counter, from the kernel's log (measured at its start) or, if that has been overwritten, the
 * current clock of a CPU in /proc/cpuinfo. @throws Error if neither tells.
 */
export function readTscKhz(kernelLog: string, cpuinfo: string): number {
  const mhz =
    /tsc: Refined TSC clocksource calibration: ([\d.]+) MHz/.exec(kernelLog)?.[1] ??
    /tsc: Detected ([\d.]+) MHz/.exec(kernelLog)?.[1] ??
    /^cpu MHz\s*: ([\d.]+)/m.exec(cpuinfo)?.[1];
  if (mhz === undefined) throw new Error("neither the kernel's log nor /proc/cpuinfo tells the TSC's rate");
  return Math.round(Number(mhz) * 1000);
}
