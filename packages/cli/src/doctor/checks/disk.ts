import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type CheckResult, type FindingId, failed, ok, warning } from '../check.ts';

export interface DiskFacts {
  /** What is kept there, for the title. */
  purpose: string;
  path: string;
  freeBytes: number;
  /** As statfs(2) names it; 0 where unknown. */
  fsType: number;
}

const GIB = 1024 ** 3;

/** Of the nearest folder that exists: the rest will be made in it. */
export async function probeDisk(purpose: string, path: string): Promise<DiskFacts> {
  for (let dir = path; ; dir = dirname(dir)) {
    try {
      const { bavail, bsize, type } = await statfs(dir);
      return { purpose, path, freeBytes: bavail * bsize, fsType: type };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dir === '/') throw error;
    }
  }
}

export interface DiskNeed {
  id: FindingId;
  /** Below it a start fails. */
  leastGib: number;
  comfortableGib: number;
}

export function evaluateDisk({ purpose, path, freeBytes }: DiskFacts, need: DiskNeed): CheckResult {
  const title = `Disk for ${purpose}`;
  const detail = `${(freeBytes / GIB).toFixed(1)} GiB free at ${path}`;
  const trouble = (gib: number) => ({
    detail,
    cause: `${gib} GiB or more are needed`,
    fix: `free space there, or choose another place with --${need.id === 'cache-disk' ? 'cache-dir' : 'data-dir'}`,
  });
  if (freeBytes < need.leastGib * GIB) return failed(need.id, title, trouble(need.leastGib));
  if (freeBytes < need.comfortableGib * GIB) return warning(need.id, title, trouble(need.comfortableGib));
  return ok(need.id, title, detail);
}
