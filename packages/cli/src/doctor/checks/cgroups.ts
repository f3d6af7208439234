import { mkdir, readdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { idsOfNamespace } from '@islet/host';
import { type CheckResult, failed, ok, warning } from '../check.ts';
import { readOptional } from '../confinement.ts';

const ID = 'cgroups';
const TITLE = 'Cgroups';

export interface CgroupFacts {
  version: 'v1' | 'v2' | 'none';
  controllers: string[];
  /** Why a cgroup could not be made; undefined if it could. */
  error: string | undefined;
  /** Root of a user namespace goes without, if it was given none. */
  isDispensable: boolean;
}

/** The limits of a sandbox and the controllers that enforce them. */
const NEEDED = { memory: 'memory', cpu: 'CPU', pids: 'process' } as const;

/** Makes an empty cgroup and removes it. */
export async function probeCgroups(root = '/sys/fs/cgroup'): Promise<CgroupFacts> {
  const isDispensable = idsOfNamespace() !== undefined;
  const v2 = await readOptional(join(root, 'cgroup.controllers'));
  if (v2 !== undefined) {
    return { version: 'v2', controllers: v2.trim().split(/\s+/), error: await tryMake(root), isDispensable };
  }
  const folders = await readdir(root).catch(() => []);
  const controllers = [...new Set(folders.flatMap((name) => name.split(',')))];
  if (!controllers.includes('memory')) {
    return { version: 'none', controllers: [], error: undefined, isDispensable };
  }
  return { version: 'v1', controllers, error: await tryMake(join(root, 'memory')), isDispensable };
}

async function tryMake(parent: string): Promise<string | undefined> {
  const dir = join(parent, `islet-doctor-${process.pid}`);
  try {
    await mkdir(dir);
    await rmdir(dir);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

export function evaluateCgroups({ version, controllers, error, isDispensable }: CgroupFacts): CheckResult {
  if (version === 'none') {
    return warning(ID, TITLE, {
      detail: 'no cgroups are mounted at /sys/fs/cgroup',
      cause: 'sandboxes run, but without limits on memory, CPU and processes',
      fix: 'mount -t cgroup2 none /sys/fs/cgroup',
    });
  }
  if (error !== undefined && isDispensable) {
    return warning(ID, TITLE, {
      detail: `an ordinary user may make none here: ${error}`,
      cause: 'sandboxes run, but without limits on memory, CPU and processes',
      fix: 'run Islet as root if they need limits: sudo ./islet up',
    });
  }
  if (error !== undefined) {
    return failed(ID, TITLE, {
      detail: `cannot make a cgroup: ${error}`,
      cause: 'the cgroup file system is read-only for this process, or belongs to another user',
      fix: 'run it as root; in a container: docker run --cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup …',
    });
  }
  const missing = (Object.keys(NEEDED) as (keyof typeof NEEDED)[]).filter(
    (name) => !controllers.includes(name),
  );
  if (missing.length > 0) {
    return warning(ID, TITLE, {
      detail: `${version} without the controllers ${missing.join(', ')}`,
      cause: `${missing.map((name) => NEEDED[name]).join(', ')} limits of sandboxes are not enforced`,
      fix:
        version === 'v2'
          ? `echo ${missing.map((name) => `+${name}`).join(' ')} > /sys/fs/cgroup/cgroup.subtree_control`
          : 'enable them at boot: remove cgroup_disable=… from the kernel command line',
    });
  }
  return ok(ID, TITLE, `${version} with ${Object.keys(NEEDED).join(', ')}`);
}
