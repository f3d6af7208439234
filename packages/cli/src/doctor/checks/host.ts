import { freemem } from 'node:os';
import { type CheckResult, failed, ok, warning } from '../check.ts';
import { readOptional } from '../confinement.ts';

/** Oldest Node that Islet runs on: [major, minor]. */
const MIN_NODE = [20, 19] as const;

export function evaluateNode(version: string): CheckResult {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  const recent = major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1]);
  if (recent) return ok('node', 'Node.js', version);
  return failed('node', 'Node.js', {
    detail: version,
    cause: `Islet needs ${MIN_NODE.join('.')} or newer`,
    fix: 'install it from https://nodejs.org/en/download or https://deb.nodesource.com',
  });
}

export interface KernelFacts {
  platform: string;
  arch: string;
  release: string;
}

/** gVisor's oldest kernel; and the architectures it is built for. */
const MIN_KERNEL = [4, 15] as const;
const ARCHITECTURES = ['x64', 'arm64'];

export function evaluateKernel({ platform, arch, release }: KernelFacts): CheckResult {
  const detail = `${platform} ${release} ${arch}`;
  const [major = 0, minor = 0] = release.split('.').map((part) => Number.parseInt(part, 10));
  const unfit = (cause: string, fix: string) => failed('kernel', 'Kernel', { detail, cause, fix });
  if (platform !== 'linux')
    return unfit('sandboxes need a Linux kernel', 'use a Linux machine or virtual machine');
  if (!ARCHITECTURES.includes(arch)) {
    return unfit(`gVisor does not run on ${arch}`, `use a machine with ${ARCHITECTURES.join(' or ')}`);
  }
  if (major < MIN_KERNEL[0] || (major === MIN_KERNEL[0] && minor < MIN_KERNEL[1])) {
    return unfit(`gVisor needs Linux ${MIN_KERNEL.join('.')} or newer`, 'upgrade the kernel');
  }
  return ok('kernel', 'Kernel', detail);
}

export interface MemoryFacts {
  availableBytes: number;
  totalBytes: number;
}

const GIB = 1024 ** 3;
/** Islet itself and two small sandboxes; below the second, not even that. */
const COMFORTABLE_MEMORY = 2 * GIB;
const LEAST_MEMORY = 0.75 * GIB;

/** MemAvailable counts what the page cache would give back; MemFree does not. */
export async function probeMemory(totalBytes: number): Promise<MemoryFacts> {
  const text = (await readOptional('/proc/meminfo')) ?? '';
  const kib = /^MemAvailable:\s+(\d+) kB/m.exec(text)?.[1];
  return { availableBytes: kib ? Number(kib) * 1024 : freemem(), totalBytes };
}

export function evaluateMemory({ availableBytes, totalBytes }: MemoryFacts): CheckResult {
  const gib = (bytes: number) => (bytes / GIB).toFixed(1);
  const detail = `${gib(availableBytes)} GiB available of ${gib(totalBytes)} GiB`;
  const trouble = {
    detail,
    cause: 'Islet needs some 300 MB, and an idle sandbox some 70 MB besides what runs in it',
    fix: 'free memory, or use a larger machine',
  };
  if (availableBytes < LEAST_MEMORY) return failed('memory', 'Memory', trouble);
  if (availableBytes < COMFORTABLE_MEMORY) return warning('memory', 'Memory', trouble);
  return ok('memory', 'Memory', detail);
}

export interface ForwardingFacts {
  /** Content of /proc/sys/net/ipv4/ip_forward; undefined if it cannot be read. */
  value: string | undefined;
  writable: boolean;
}

export function evaluateForwarding({ value, writable }: ForwardingFacts): CheckResult {
  const [id, title] = ['ip-forward', 'IPv4 forwarding'] as const;
  if (value?.trim() === '1') return ok(id, title, 'on');
  if (writable) return ok(id, title, 'off; `islet up` turns it on');
  return failed(id, title, {
    detail: 'off, and it cannot be turned on from here',
    cause: '/proc/sys is read-only for this process, so sandboxes would have no network',
    fix: 'on the host: sysctl -w net.ipv4.ip_forward=1; in a container: docker run --sysctl net.ipv4.ip_forward=1 …',
  });
}

/** Threads of a thousand busy sandboxes. A kernel that nobody set up has 32,768: some of them, each at its limit, take all. */
const COMFORTABLE_PID_MAX = 1 << 20;

/** How many processes and threads the host may have; undefined if it does not say. */
export function evaluatePidMax(value: string | undefined): CheckResult {
  const most = Number(value);
  if (value === undefined || most >= COMFORTABLE_PID_MAX) {
    return ok('pid-max', 'Processes of the host', value === undefined ? 'unknown' : `${most} at most`);
  }
  return warning('pid-max', 'Processes of the host', {
    detail: `kernel.pid_max is ${most}`,
    cause:
      'each sandbox may have some thousand threads on the host; several that do could leave none for others',
    fix: 'sysctl -w kernel.pid_max=4194304',
  });
}
