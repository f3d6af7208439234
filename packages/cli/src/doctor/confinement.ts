import { readFile } from 'node:fs/promises';
import { type CapabilityName, capabilitiesIn } from '../host/rights.ts';

/** What the kernel lets this process do, and who may be in its way. */
export interface Confinement {
  uid: number;
  /** Effective capabilities as a bit set. */
  effective: bigint;
  /** Those that it, or a program it starts, could ever get. */
  bounding: bigint;
  seccomp: 'off' | 'strict' | 'filter';
  noNewPrivileges: boolean;
  /** The AppArmor profile that confines it; undefined if none does. */
  appArmorProfile: string | undefined;
  /** The SELinux context, where SELinux enforces. */
  seLinuxContext: string | undefined;
  /** Sysctls that bound namespaces; undefined if the kernel does not have them. */
  sysctls: {
    maxNetNamespaces: number | undefined;
    maxUserNamespaces: number | undefined;
    maxMntNamespaces: number | undefined;
    unprivilegedUserns: number | undefined;
    appArmorRestrictsUserns: number | undefined;
  };
}

export type Capability = `CAP_${Uppercase<CapabilityName>}`;

export function capability(name: CapabilityName): Capability {
  return `CAP_${name.toUpperCase()}` as Capability;
}

export function hasCapability(set: bigint, name: Capability): boolean {
  return capabilitiesIn(set).some((held) => capability(held) === name);
}

const SECCOMP = ['off', 'strict', 'filter'] as const;

/** Reads the parts of /proc/<pid>/status that matter here. */
export function parseStatus(
  text: string,
): Pick<Confinement, 'uid' | 'effective' | 'bounding' | 'seccomp' | 'noNewPrivileges'> {
  const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(text)?.[1];
  const uids = /^Uid:\s*\d+\s+(\d+)/m.exec(text)?.[1];
  return {
    uid: Number(uids),
    effective: BigInt(`0x${field('CapEff') ?? '0'}`),
    bounding: BigInt(`0x${field('CapBnd') ?? '0'}`),
    seccomp: SECCOMP[Number(field('Seccomp') ?? 0)] ?? 'filter',
    noNewPrivileges: field('NoNewPrivs') === '1',
  };
}

/** AppArmor writes `profile (mode)` or `unconfined`; profiles in complain mode deny nothing. */
export function parseAppArmor(label: string): string | undefined {
  const match = /^(.+) \((\w+)\)$/.exec(label.replaceAll('\0', '').trim());
  return match && match[2] !== 'complain' && match[1] !== 'unconfined' ? match[1] : undefined;
}

/** A file that is not there, or not for us, says nothing. */
export async function readOptional(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined);
}

export async function probeConfinement(): Promise<Confinement> {
  const number = async (path: string) => {
    const text = await readOptional(`/proc/sys/${path}`);
    return text === undefined ? undefined : Number(text);
  };
  const enforcing = (await readOptional('/sys/fs/selinux/enforce'))?.trim() === '1';
  const label = await readOptional('/proc/self/attr/current');
  const appArmor =
    (await readOptional('/proc/self/attr/apparmor/current')) ?? (enforcing ? undefined : label);
  return {
    ...parseStatus((await readOptional('/proc/self/status')) ?? ''),
    appArmorProfile: appArmor === undefined ? undefined : parseAppArmor(appArmor),
    seLinuxContext: enforcing ? label?.replaceAll('\0', '').trim() : undefined,
    sysctls: {
      maxNetNamespaces: await number('user/max_net_namespaces'),
      maxUserNamespaces: await number('user/max_user_namespaces'),
      maxMntNamespaces: await number('user/max_mnt_namespaces'),
      unprivilegedUserns: await number('kernel/unprivileged_userns_clone'),
      appArmorRestrictsUserns: await number('kernel/apparmor_restrict_unprivileged_userns'),
    },
  };
}
