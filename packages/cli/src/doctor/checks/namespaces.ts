import type { CheckResult } from '../check.ts';
import { failed, ok } from '../check.ts';
import { type Capability, type Confinement, hasCapability } from '../confinement.ts';
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

interface Explanation {
  cause: string;
  fix: string;
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

function explainDenial(confinement: Confinement, needed: Capability): Explanation {
  const { effective, bounding, uid } = confinement;
  if (!hasCapability(effective, needed)) {
    if (hasCapability(bounding, needed)) {
      return {
        cause: `this process lacks ${needed} (uid ${uid}; its CapEff is ${effective.toString(16)})`,
        fix: 'run it as root: sudo ./islet doctor',
      };
    }
    const option = needed.replace('CAP_', '');
    return {
      cause: `the container or service that this runs in has dropped ${needed} (it is not in CapBnd either)`,
      fix: `give it back: docker run --cap-add ${option} …, or CapabilityBoundingSet= and AmbientCapabilities= of the systemd unit`,
    };
  }
  if (confinement.appArmorProfile !== undefined) {
    const profile = confinement.appArmorProfile;
    return {
      cause: `AppArmor denies it: the process runs under the profile "${profile}" though it has ${needed}`,
      fix: `start it unconfined (docker run --security-opt apparmor=unconfined …), or: aa-complain "${profile}"`,
    };
  }
  if (confinement.seLinuxContext !== undefined) {
    return {
      cause: `SELinux denies it: the process runs as ${confinement.seLinuxContext} though it has ${needed}`,
      fix: 'see what was denied with: ausearch -m avc -ts recent; in a container: docker run --security-opt label=disable …',
    };
  }
  if (confinement.seccomp !== 'off') {
    return {
      cause: `a seccomp ${confinement.seccomp === 'filter' ? 'filter' : 'mode'} denies the call though the process has ${needed}`,
      fix: 'start the container without it: docker run --security-opt seccomp=unconfined …; for a systemd unit: RestrictNamespaces=no',
    };
  }
  return {
    cause: `the kernel denied it though the process has ${needed}, and neither AppArmor, SELinux nor seccomp shows itself`,
    fix: 'look at the kernel log for the reason: dmesg | tail',
  };
}
