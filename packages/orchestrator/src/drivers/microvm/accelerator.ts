import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';
import type { Exec } from '../../host/exec.ts';

export const QEMU = 'qemu-system-x86_64';

/** What runs a machine's instructions. */
export type Accelerator =
  | { kind: 'kvm' }
  /** QEMU's translator. `tscKhz`: what the host's time stamp counter counts, since a guest has nothing to measure it by. */
  | { kind: 'tcg'; tscKhz: number };

/** The kernel and the initial file system of virtual machines. */
export interface GuestKernel {
  kernel: string;
  initrd: string;
}

export interface ProbeOptions extends GuestKernel {
  /** Where answers are kept until the next start of the host. */
  cacheDir: string;
  exec: Exec;
}

/** Whether a virtual machine really runs under an accelerator. */
export interface Probe {
  works: boolean;
  /** For people: how it went, or why it does not work. */
  reason: string;
  /** From the start of QEMU to the end of the probe's program, s. */
  seconds: number;
  /** How long a loop took inside that a shell of the host ran in `hostLoopSeconds`. */
  loopSeconds?: number;
  hostLoopSeconds?: number;
}

/** A guest under KVM is there within a second; one that has not come so far by then hangs. */
const KVM_TIMEOUT_MS = 15_000;
/** Translated, on a machine that has other work. */
const TCG_TIMEOUT_MS = 120_000;

/** The same as in the guest's init. */
const LOOP = 'i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done';

/** Finds the accelerator of this host, and what is known of it. @throws Error where QEMU cannot run a guest at all. */
export async function chooseAccelerator(
  options: ProbeOptions,
): Promise<{ accelerator: Accelerator; kvm: Probe }> {
  const kvm = await probe('kvm', options);
  return { accelerator: kvm.works ? { kind: 'kvm' } : await translator(options.exec), kvm };
}

export async function translator(exec: Exec): Promise<Accelerator> {
  const kernelLog = await exec('dmesg', []).catch(() => '');
  return { kind: 'tcg', tscKhz: readTscKhz(kernelLog, await readFile('/proc/cpuinfo', 'utf8')) };
}

/**
 * Boots a guest that runs a short program and ends. That /dev/kvm is there and opens proves nothing: on some hosts guests
 * hang in it, or die. The answer is kept for as long as the host, its kernel, QEMU and the guest's kernel stay the same.
 */
export async function probe(kind: Accelerator['kind'], options: ProbeOptions): Promise<Probe> {
  const cache = join(options.cacheDir, `${kind}.json`);
  const key = await probeKey(options);
  const known = await readFile(cache, 'utf8').then(
    (text) => JSON.parse(text) as { key: string; answer: Probe },
    () => undefined,
  );
  if (known?.key === key) return known.answer;
  const answer = kind === 'kvm' ? await probeKvm(options) : await probeTcg(options);
  await mkdir(options.cacheDir, { recursive: true, mode: 0o700 });
  await writeFile(`${cache}.${process.pid}`, JSON.stringify({ key, answer }));
  await rename(`${cache}.${process.pid}`, cache);
  return answer;
}

async function probeKvm(options: ProbeOptions): Promise<Probe> {
  const device = await stat('/dev/kvm').catch(() => undefined);
  if (!device?.isCharacterDevice()) return { works: false, reason: '/dev/kvm is not there', seconds: 0 };
  return runProbe(options, ['-accel', 'kvm', '-cpu', 'host'], '', KVM_TIMEOUT_MS);
}

async function probeTcg(options: ProbeOptions): Promise<Probe> {
  const accelerator = await translator(options.exec);
  const args = accelerator.kind === 'tcg' ? `tsc_early_khz=${accelerator.tscKhz}` : '';
  return runProbe(options, ['-accel', 'tcg', '-cpu', 'max'], args, TCG_TIMEOUT_MS);
}

async function runProbe(
  { exec, kernel, initrd }: ProbeOptions,
  acceleration: readonly string[],
  kernelArguments: string,
  timeoutMs: number,
): Promise<Probe> {
  const begin = performance.now();
  const elapsed = () => (performance.now() - begin) / 1000;
  try {
    const output = await exec(
      QEMU,
      [
        ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio'],
        ...['-M', 'microvm,acpi=on,pit=off,pic=off,rtc=on', '-bios', 'qboot.rom', '-m', '256', '-smp', '1'],
        ...acceleration,
        ...['-kernel', kernel, '-initrd', initrd],
        ...[
          '-append',
          `console=ttyS0 quiet reboot=t panic=-1 tsc=reliable islet.probe=yes ${kernelArguments}`,
        ],
      ],
      { timeoutMs },
    );
    const seconds = elapsed();
    const [, from, to] = /islet-probe ([\d.]+) ([\d.]+)/.exec(output) ?? [];
    if (from === undefined)
      return { works: false, reason: 'a guest ended before its first program', seconds };
    const loopSeconds = Number(to) - Number(from);
    const before = performance.now();
    await exec('busybox', ['sh', '-c', LOOP]);
    const hostLoopSeconds = (performance.now() - before) / 1000;
    return {
      works: true,
      reason: `a guest booted and ended within ${seconds.toFixed(1)} s`,
      ...{ seconds, loopSeconds, hostLoopSeconds },
    };
  } catch (error) {
    const seconds = elapsed();
    const hung = seconds * 1000 >= timeoutMs;
    const reason = hung
      ? `a guest hung: it did not end within ${timeoutMs / 1000} s`
      : (error as Error).message;
    return { works: false, reason, seconds };
  }
}

async function probeKey({ exec, kernel, initrd }: ProbeOptions): Promise<string> {
  const [version, bootId, ...files] = await Promise.all([
    exec(QEMU, ['--version']),
    readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
    ...[kernel, initrd, '/dev/kvm'].map((file) =>
      stat(file).then(
        ({ size, mtimeMs, mode }) => (file === '/dev/kvm' ? String(mode) : `${size} ${mtimeMs}`),
        () => 'none',
      ),
    ),
  ]);
  return [version.split('\n')[0], bootId.trim(), release(), ...files].join('\n');
}

/**
 * kHz of the time stamp counter, from the kernel's log (measured at its start) or, where that has been overwritten, the
 * current clock of a CPU in /proc/cpuinfo. @throws Error where neither tells.
 */
export function readTscKhz(kernelLog: string, cpuinfo: string): number {
  const mhz =
    /tsc: Refined TSC clocksource calibration: ([\d.]+) MHz/.exec(kernelLog)?.[1] ??
    /tsc: Detected ([\d.]+) MHz/.exec(kernelLog)?.[1] ??
    /^cpu MHz\s*: ([\d.]+)/m.exec(cpuinfo)?.[1];
  if (mhz === undefined) throw new Error("neither the kernel's log nor /proc/cpuinfo tells the TSC's rate");
  return Math.round(Number(mhz) * 1000);
}
