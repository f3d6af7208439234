import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';
import type { Exec } from '@islet/host';

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

/** Whether a virtual machine really runs here. */
export interface Probe {
  works: boolean;
  /** For people: how it went, or why it does not work. */
  reason: string;
  /** From the start of the VMM to the end of the probe's program, s. */
  seconds: number;
  /** How long a loop took inside that a shell of the host ran in `hostLoopSeconds`. */
  loopSeconds?: number;
  hostLoopSeconds?: number;
}

/** A guest under KVM is there within a second; one that has not come so far by then hangs. */
export const KVM_TIMEOUT_MS = 15_000;

/** What the kernel of the probe's guest is told beside what the VMM wants. */
export const PROBE_ARGUMENTS = 'console=ttyS0 quiet panic=-1 islet.probe=yes';

/** The same as in the guest's init. */
const LOOP = 'i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done';

/** Why KVM need not even be tried, or undefined. */
export async function kvmMissing(): Promise<string | undefined> {
  const device = await stat('/dev/kvm').catch(() => undefined);
  return device?.isCharacterDevice() ? undefined : '/dev/kvm is not there';
}

/**
 * The answer of an earlier probe, or of this one. It is kept for as long as the host, its kernel, the VMM (`version`) and the
 * guest's kernel stay the same.
 */
export async function rememberProbe(
  name: string,
  version: string,
  options: ProbeOptions,
  probe: () => Promise<Probe>,
): Promise<Probe> {
  const cache = join(options.cacheDir, `${name}.json`);
  const key = await probeKey(version, options);
  const known = await readFile(cache, 'utf8').then(
    (text) => JSON.parse(text) as { key: string; answer: Probe },
    () => undefined,
  );
  if (known?.key === key) return known.answer;
  const answer = await probe();
  await mkdir(options.cacheDir, { recursive: true, mode: 0o700 });
  await writeFile(`${cache}.${process.pid}`, JSON.stringify({ key, answer }));
  await rename(`${cache}.${process.pid}`, cache);
  return answer;
}

/** Has a VMM boot the guest that runs a short program and ends, and judges by what came out of its console. */
export async function tryGuest(
  exec: Exec,
  timeoutMs: number,
  file: string,
  args: readonly string[],
): Promise<Probe> {
  const begin = performance.now();
  const elapsed = () => (performance.now() - begin) / 1000;
  try {
    const output = await exec(file, args, { timeoutMs });
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

async function probeKey(version: string, { kernel, initrd }: GuestKernel): Promise<string> {
  const [bootId, ...files] = await Promise.all([
    readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
    ...[kernel, initrd, '/dev/kvm'].map((file) =>
      stat(file).then(
        ({ size, mtimeMs, mode }) => (file === '/dev/kvm' ? String(mode) : `${size} ${mtimeMs}`),
        () => 'none',
      ),
    ),
  ]);
  return [version, bootId.trim(), release(), ...files].join('\n');
}
