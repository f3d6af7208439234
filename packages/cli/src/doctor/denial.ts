import { type Capability, type Confinement, hasCapability } from './confinement.ts';

/** Why something is not allowed, and what gives it back. */
export interface Explanation {
  cause: string;
  fix: string;
}

/** Who denied what needs a capability: the first that explains it, from the process's own rights outwards. */
export function explainDenial(confinement: Confinement, needed: Capability): Explanation {
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
