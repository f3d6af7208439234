import { access, constants } from 'node:fs/promises';
import { userInfo } from 'node:os';
import type { Trouble } from '../doctor/check.ts';
import { type Confinement, probeConfinement, readOptional } from '../doctor/confinement.ts';
import type { Run, RunResult } from '../doctor/run.ts';

/** What makes root of a user namespace out of an ordinary user: with the range of ids that /etc/subuid gives, and a network. */
export const NEW_NAMESPACE = [
  'unshare',
  '--user',
  '--map-auto',
  '--map-root-user',
  '--mount',
  '--net',
] as const;

/** The device that a network comes through. */
const TUN = '/dev/net/tun';
/** Root file systems have files of so many users. */
const IDS = 65_536;
const FIRST_ID = 100_000;

/** Programs by the Debian package that has them. */
const PROGRAMS = { newuidmap: 'uidmap', pasta: 'passt', nsenter: 'util-linux', setpriv: 'util-linux' };

export interface RootlessFacts {
  user: string;
  uid: number;
  /** Packages whose programs are not in PATH. */
  missing: string[];
  /** What /etc/subuid and /etc/subgid say. */
  subuid: string;
  subgid: string;
  /** Making such a namespace. */
  attempt: RunResult;
  tun: 'usable' | 'forbidden' | 'absent';
  sysctls: Confinement['sysctls'];
}

/** Tries it as the user who this is. */
export async function probeRootless(run: Run): Promise<RootlessFacts> {
  const { username, uid } = userInfo();
  const [program, ...args] = [...NEW_NAMESPACE, 'true'];
  const found = await Promise.all(
    Object.entries(PROGRAMS).map(async ([name, of]) => {
      const { code } = await run('sh', ['-c', 'command -v "$1"', 'sh', name]);
      return code === 0 ? [] : [of];
    }),
  );
  return {
    ...{ user: username, uid },
    missing: [...new Set(found.flat())],
    subuid: (await readOptional('/etc/subuid')) ?? '',
    subgid: (await readOptional('/etc/subgid')) ?? '',
    attempt: await run(program, args),
    tun: await stateOfTun(),
    sysctls: (await probeConfinement()).sysctls,
  };
}

async function stateOfTun(): Promise<RootlessFacts['tun']> {
  const may = (mode: number) =>
    access(TUN, mode).then(
      () => true,
      () => false,
    );
  if (!(await may(constants.F_OK))) return 'absent';
  return (await may(constants.R_OK | constants.W_OK)) ? 'usable' : 'forbidden';
}

/** All that keeps an ordinary user from running Islet, each with the command that an administrator runs once. */
export function rootlessTroubles(facts: RootlessFacts): Trouble[] {
  const { user, missing, subuid, subgid, attempt, tun } = facts;
  const troubles: Trouble[] = [];
  if (missing.length > 0) {
    troubles.push({
      detail: `packages are missing: ${missing.join(', ')}`,
      cause: 'they give a user ids and a network of its own',
      fix: `apt-get install --no-install-recommends ${missing.join(' ')}`,
    });
  }
  const lacks = [subuid, subgid].map((ranges) => !hasRange(ranges, facts));
  if (attempt.code !== 0 && lacks.some(Boolean)) {
    const first = Math.max(firstFree(subuid), firstFree(subgid));
    const range = `${first}-${first + IDS - 1}`;
    const flags = ['--add-subuids', '--add-subgids'].filter((_, file) => lacks[file]);
    troubles.push({
      detail: `${user} has no ${IDS} ids in ${['/etc/subuid', '/etc/subgid'].filter((_, file) => lacks[file]).join(' and ')}`,
      cause: 'root file systems have files of many users',
      fix: `usermod ${flags.map((flag) => `${flag} ${range}`).join(' ')} ${user}`,
    });
  } else if (attempt.code !== 0 && missing.length === 0) troubles.push(denied(facts));
  if (tun !== 'usable') {
    troubles.push({
      detail: `${TUN} is ${tun === 'absent' ? 'not there' : 'not for everybody'}`,
      cause: 'pasta gives the sandboxes their network through it',
      fix: tun === 'absent' ? 'modprobe tun' : `chmod 0666 ${TUN}`,
    });
  }
  return troubles;
}

function denied({ attempt, sysctls }: RootlessFacts): Trouble {
  const detail = `users may not make namespaces: ${attempt.stderr.trim()}`;
  const because = (name: string, is: number, better: number) => ({
    detail,
    cause: `${name} is ${is}`,
    fix: `sysctl -w ${name}=${better}`,
  });
  if (sysctls.appArmorRestrictsUserns === 1) {
    return because('kernel.apparmor_restrict_unprivileged_userns', 1, 0);
  }
  if (sysctls.unprivilegedUserns === 0) return because('kernel.unprivileged_userns_clone', 0, 1);
  if (sysctls.maxUserNamespaces === 0) return because('user.max_user_namespaces', 0, 65_536);
  return { detail, cause: 'the kernel or a security module denies it', fix: 'run Islet as root' };
}

interface Range {
  owner: string;
  first: number;
  count: number;
}

/** subuid(5) */
function rangesIn(text: string): Range[] {
  return text.split('\n').flatMap((line) => {
    const [, owner = '', first, count] = /^([^:#\s]+):(\d+):(\d+)$/.exec(line.trim()) ?? [];
    return count === undefined ? [] : [{ owner, first: Number(first), count: Number(count) }];
  });
}

function hasRange(text: string, { user, uid }: RootlessFacts): boolean {
  return rangesIn(text).some(({ owner, count }) => [user, String(uid)].includes(owner) && count >= IDS);
}

/** Behind all ranges of others. */
function firstFree(text: string): number {
  return Math.max(FIRST_ID, ...rangesIn(text).map(({ first, count }) => first + count));
}
