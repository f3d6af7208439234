import { execFile } from 'node:child_process';
import { chmod, readdir, readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const LAUNCHER = resolve(import.meta.dirname, '../../islet');
const TUN = '/dev/net/tun';
const FOR_EVERYBODY = 0o666;

/** An ordinary user of the machine; plain data, so that it can be handed to test files. */
export interface OrdinaryUser {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

/** Makes one, with ids of its own as the system gives them to everybody. */
export async function makeUser(): Promise<OrdinaryUser> {
  const name = `islet-e2e-${process.pid}`;
  await run('useradd', ['--create-home', '--shell', '/bin/sh', name]);
  const { stdout } = await run('getent', ['passwd', name]);
  const [, , uid, gid, , home = ''] = stdout.split(':');
  return { name, uid: Number(uid), gid: Number(gid), home };
}

/** With all it has; nothing of it may run any more. */
export async function removeUser({ name }: OrdinaryUser): Promise<void> {
  await run('userdel', ['--remove', name]);
}

/** The words that start a program as the user: it becomes that program, so its id is what was started. */
export function asUser({ uid, gid, home }: OrdinaryUser): [string, ...string[]] {
  const path = process.env.PATH ?? '';
  return [
    ...(['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--init-groups'] as const),
    ...['env', '--chdir', home, '--ignore-environment', `HOME=${home}`, `PATH=${path}`, 'ISLET_ROOTLESS=1'],
  ];
}

/** `./islet` as that user. */
export function launcherOf(user: OrdinaryUser): [string, ...string[]] {
  return [...asUser(user), LAUNCHER];
}

/** Processes that are the user's, or users' of its namespaces, with their commands. */
export async function processesOf({ name, uid }: OrdinaryUser): Promise<string[]> {
  const ranges = (await readFile('/etc/subuid', 'utf8')).split('\n').map((line) => line.split(':'));
  const [, first = 0, count = 0] = (ranges.find(([owner]) => owner === name) ?? []).map(Number);
  const isOwn = (id: number) => id === uid || (id >= first && id < first + count);
  const found = await Promise.all(
    (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry)).map((pid) => lookAt(pid)),
  );
  return found.flat().flatMap(({ owner, line }) => (isOwn(owner) ? [line] : []));
}

/** Nothing if it ended meanwhile. */
async function lookAt(pid: string): Promise<{ owner: number; line: string }[]> {
  try {
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ').trim();
    // Who has ended has no command.
    const owner = Number(/^Uid:\t(\d+)/m.exec(status)?.[1]);
    return command === '' ? [] : [{ owner, line: `${pid} ${command.slice(0, 100)}` }];
  } catch {
    return [];
  }
}

/** Has everybody use the network device, as udev of Debian does. Gives what takes it back. */
export async function openTun(): Promise<() => Promise<void>> {
  const { mode } = await stat(TUN);
  await chmod(TUN, FOR_EVERYBODY);
  return () => chmod(TUN, mode & 0o777);
}
