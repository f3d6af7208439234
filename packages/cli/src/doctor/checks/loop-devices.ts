import { idsOfNamespace } from '@islet/host';
import { type CheckResult, ok, warning } from '../check.ts';
import { type Confinement, hasCapability } from '../confinement.ts';
import { explainDenial } from '../denial.ts';
import type { Run, RunResult } from '../run.ts';

const ID = 'loop-devices';
const TITLE = 'File systems in files';

/** Everything that it makes ends with it: the device with the mount, and that with the mount namespace. */
const SCRIPT = `
set -e
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
truncate -s 1M "$dir/image"
mkfs.ext4 -q -F "$dir/image"
mkdir "$dir/mounted"
mount -o loop "$dir/image" "$dir/mounted"
umount "$dir/mounted"
`;

/** Mounts a small file system that is in a file. */
export function probeLoopDevices(run: Run): Promise<RunResult> {
  return run('unshare', ['--mount', 'sh', '-c', SCRIPT]);
}

export function evaluateLoopDevices(result: RunResult, confinement: Confinement): CheckResult {
  if (result.code === 0) return ok(ID, TITLE, 'volumes and the steps of builds have disks with a size');
  const detail = result.stderr.trim();
  if (!hasCapability(confinement.effective, 'CAP_SYS_ADMIN')) {
    return warning(ID, TITLE, { detail, ...explainDenial(confinement, 'CAP_SYS_ADMIN') });
  }
  if (idsOfNamespace() !== undefined) {
    return warning(ID, TITLE, {
      detail: 'an ordinary user may not mount them',
      cause: 'there are no volumes, and what a step of a build writes is counted at its end',
      fix: 'run Islet as root if you need them: sudo ./islet up',
    });
  }
  return warning(ID, TITLE, {
    detail,
    cause:
      'the kernel gives no loop devices, or has no ext4: sandboxes run, but volumes and builds of templates fail',
    fix: 'modprobe -a loop ext4; in a container: docker run --device /dev/loop-control --device-cgroup-rule "b 7:* rwm" -v /dev:/dev …',
  });
}
