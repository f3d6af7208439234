import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { type CheckResult, failed, ok } from '../check.ts';

const ID = 'programs';
const TITLE = 'System programs';

/** Program → the package that has it. */
const NEEDED: Record<string, string> = {
  ip: 'iproute2',
  nft: 'nftables',
  mmdebstrap: 'mmdebstrap',
  skopeo: 'skopeo',
  umoci: 'umoci',
  bwrap: 'bubblewrap',
  prlimit: 'util-linux',
  unshare: 'util-linux',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  mount: 'mount',
  'mkfs.ext4': 'e2fsprogs',
};

export interface ProgramFacts {
  /** Programs that no folder of PATH has. */
  missing: string[];
  /** Paths of programs that are there and that no one may execute. */
  notExecutable: string[];
  /** The folders that were looked in. */
  path: string;
}

/** Looks for what the node and the template builder call. @param path as in the environment */
export async function probePrograms(path: string): Promise<ProgramFacts> {
  const facts: ProgramFacts = { missing: [], notExecutable: [], path };
  for (const program of Object.keys(NEEDED)) {
    const files = path.split(delimiter).map((dir) => join(dir, program));
    if (await firstThat(files, constants.X_OK)) continue;
    const file = await firstThat(files, constants.F_OK);
    if (file) facts.notExecutable.push(file);
    else facts.missing.push(program);
  }
  return facts;
}

export function evaluatePrograms({ missing, notExecutable, path }: ProgramFacts): CheckResult {
  const cause = 'the node and the template builder call them';
  if (missing.length > 0) {
    const packages = [...new Set(missing.map((program) => NEEDED[program] ?? program))];
    return failed(ID, TITLE, {
      detail: `not installed: ${missing.join(', ')} (looked in ${path})`,
      cause,
      fix: `apt-get install ${packages.join(' ')} (./islet up does it); if they are elsewhere, add their folder to PATH`,
    });
  }
  if (notExecutable.length > 0) {
    return failed(ID, TITLE, {
      detail: `not executable: ${notExecutable.join(', ')}`,
      cause,
      fix: `chmod +x ${notExecutable.join(' ')}; check that their file system is not mounted with noexec`,
    });
  }
  return ok(ID, TITLE, `${Object.keys(NEEDED).join(', ')} are there`);
}

async function firstThat(files: readonly string[], mode: number): Promise<string | undefined> {
  for (const file of files) {
    const passes = await access(file, mode).then(
      () => true,
      () => false,
    );
    if (passes) return file;
  }
  return undefined;
}
