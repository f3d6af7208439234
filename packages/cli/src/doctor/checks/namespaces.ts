import type { CheckResult } from '../check.ts';
import { failed, ok } from '../check.ts';
import type { Capability, Confinement } from '../confinement.ts';
import { type Explanation, explainDenial } from '../denial.ts';
import type { Run, RunResult } from '../run.ts';

const ID = 'namespaces';
const TITLE = 'Namespaces';

export type NamespaceKind = 'network' | 'mount' | 'pid' | 'ipc' | 'uts';

export interface NamespaceFacts {
  confinement: Confinement;
  /** What came of making one of each. */
  attempts: { kind: NamespaceKind; result: RunResult }[];
  /** Making a pair of virtual interfaces in a new network namespace. */
  veth: RunResult;
  /** Mounting a tmpfs in a new mount namespace. */
  mount: RunResult;
}

const UNSHARE_FLAG: Record<NamespaceKind, string> = {
  network: '--net',
  mount: '--mount',
  pid: '--pid',
  ipc: '--ipc',
  uts: '--uts',
};

/** Makes what the orchestrator makes, in namespaces that end with the probe. */
export async function probeNamespaces(run: Run, confinement: Confinement): Promise<NamespaceFacts> {
  const kinds = Object.keys(UNSHARE_FLAG) as NamespaceKind[];
  const attempts = await Promise.all(
    kinds.map(async (kind) => ({
      kind,
      result: await run('unshare', [UNSHARE_FLAG[kind], ...(kind === 'pid' ? ['--fork'] : []), 'true']),
    })),
  );
  const veth = await run('unshare', [
    ...['--net', 'ip', 'link', 'add', 'isletdoc0', 'type', 'veth', 'peer', 'name', 'isletdoc1'],
  ]);
  const mount = await run('unshare', [
    ...['--mount', '--propagation', 'private', 'mount', '-t', 'tmpfs', 'islet-doctor', '/tmp'],
  ]);
  return { confinement, attempts, veth, mount };
}

/** Finds who denied it: the first that explains it, from the process's own rights outwards. */
export function evaluateNamespaces(facts: NamespaceFacts): CheckResult {
  const { attempts, veth, mount, confinement } = facts;
  const denied = attempts.filter(({ result }) => result.code !== 0);
  if (denied.length > 0) {
    const kinds = denied.map(({ kind }) => kind).join(', ');
    const errors = denied.map(({ result }) => result.stderr.trim()).join('; ');
    return failed(ID, TITLE, {
      detail: `cannot make ${kinds} namespaces: ${errors}`,
      ...explain(confinement, 'CAP_SYS_ADMIN', errors),
    });
  }
  if (veth.code !== 0) {
    const error = veth.stderr.trim();
    const noDriver = /not supported|unknown device type/i.test(error);
    return failed(ID, TITLE, {
      detail: `cannot make virtual network interfaces: ${error}`,
      ...(noDriver
        ? { cause: "the kernel has no 'veth' driver", fix: 'modprobe veth' }
        : explain(confinement, 'CAP_NET_ADMIN', error)),
    });
  }
  if (mount.code !== 0) {
    const error = mount.stderr.trim();
    return failed(ID, TITLE, {
      detail: `cannot mount in a namespace of its own: ${error}`,
      ...explain(confinement, 'CAP_SYS_ADMIN', error),
    });
  }
  return ok(ID, TITLE, 'network, mount, pid, ipc and uts namespaces, veth and mounts work');
}

function explain(confinement: Confinement, needed: Capability, error: string): Explanation {
  if (/No space left|ENOSPC/i.test(error)) return explainLimit(confinement);
  if (/Invalid argument|Function not implemented/i.test(error)) {
    return {
      cause: 'this kernel was built without that kind of namespace',
      fix: 'use a kernel with CONFIG_NAMESPACES, CONFIG_NET_NS and CONFIG_PID_NS (every distribution kernel has them)',
    };
  }
  return explainDenial(confinement, needed);
}

function explainLimit({ sysctls }: Confinement): Explanation {
  const limits = [
    ['user.max_net_namespaces', sysctls.maxNetNamespaces],
    ['user.max_mnt_namespaces', sysctls.maxMntNamespaces],
  ] as const;
  const zero = limits.find(([, value]) => value === 0);
  const [name, value] = zero ?? limits[0];
  return {
    cause: `the limit ${name} is ${value ?? 'unknown'} and used up`,
    fix: `sysctl -w ${name}=65536`,
  };
}
