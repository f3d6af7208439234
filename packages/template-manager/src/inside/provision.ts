import { chmod, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AccountFiles } from './accounts.ts';
import type { InsideTask, ProvisionFiles } from './task.ts';
import { chownTree, kindOf, openToAll, writeIfMissing } from './tree.ts';

/** Where programs that need nothing of an image are seen in every sandbox. */
const GUEST_BIN = '/opt/islet/bin';

/** Every program that a shell script may count on; where an image has none of a kind, BusyBox serves. */
const SHELL_TOOLS = [
  ...['awk', 'basename', 'cat', 'chmod', 'chown', 'clear', 'cmp', 'cp', 'cut', 'date', 'dd', 'df', 'diff'],
  ...[
    'dirname',
    'du',
    'echo',
    'env',
    'expr',
    'false',
    'find',
    'free',
    'grep',
    'gunzip',
    'gzip',
    'head',
    'hostname',
  ],
  ...[
    'id',
    'kill',
    'less',
    'ln',
    'ls',
    'md5sum',
    'mkdir',
    'mktemp',
    'more',
    'mv',
    'nproc',
    'pgrep',
    'pkill',
    'printf',
  ],
  ...[
    'ps',
    'pwd',
    'readlink',
    'realpath',
    'rm',
    'rmdir',
    'sed',
    'seq',
    'sha256sum',
    'sleep',
    'sort',
    'stat',
    'stty',
  ],
  ...[
    'sync',
    'tail',
    'tar',
    'tee',
    'test',
    'timeout',
    'top',
    'touch',
    'tr',
    'true',
    'tty',
    'uname',
    'uniq',
    'unzip',
  ],
  ...['uptime', 'vi', 'wc', 'wget', 'which', 'who', 'whoami', 'xargs', 'yes'],
];

const PROGRAM_DIRS = ['usr/local/sbin', 'usr/local/bin', 'usr/sbin', 'usr/bin', 'sbin', 'bin'];

/** Makes a foreign image's root file system one that sandboxes can be had of. `root` is where its `/` is. */
export async function provision(
  task: Extract<InsideTask, { kind: 'provision' }>,
  root: string,
): Promise<void> {
  const path = join(root, task.files);
  const files = JSON.parse(await readFile(path, 'utf8')) as ProvisionFiles;
  for (const dir of ['bin', 'etc', 'home', 'run', 'usr/bin', 'usr/local/bin', 'var']) {
    await mkdir(join(root, dir), { recursive: true });
  }
  await mkdir(join(root, 'root'), { recursive: true, mode: 0o700 });
  for (const dir of ['tmp', 'var/tmp']) {
    await mkdir(join(root, dir), { recursive: true });
    await chmod(join(root, dir), 0o1777);
  }
  await addPrograms(root);
  await addAccounts(root);
  await writeFile(join(root, 'etc/profile'), files.profile);
  for (const [name, text] of Object.entries(files.skeleton)) {
    for (const dir of ['etc/skel', 'root']) await writeIfMissing(join(root, dir, name), text);
  }
  if (files.certificates !== undefined) {
    await writeIfMissing(join(root, 'etc/ssl/certs/ca-certificates.crt'), files.certificates);
  }
  await rm(dirname(path), { recursive: true });
}

async function addPrograms(root: string): Promise<void> {
  const there = new Set<string>();
  for (const dir of PROGRAM_DIRS) {
    for (const name of await readdir(join(root, dir)).catch(() => [])) there.add(name);
  }
  const add = (name: string, program: string) => symlink(join(GUEST_BIN, program), join(root, 'bin', name));
  // Commands are run by this very path.
  if ((await kindOf(join(root, 'bin/bash'))) === 'missing') await add('bash', 'bash');
  if ((await kindOf(join(root, 'bin/sh'))) === 'missing') await add('sh', 'busybox');
  for (const name of SHELL_TOOLS) if (!there.has(name)) await add(name, 'busybox');
}

async function addAccounts(root: string): Promise<void> {
  await writeIfMissing(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/bash\n');
  await writeIfMissing(join(root, 'etc/group'), 'root:x:0:\n');
}

/**
 * Last before a template's snapshot: its user with a home that is its own, and folders that everybody installs into, as agents
 * do without becoming root.
 */
export async function configure(
  { user }: Extract<InsideTask, { kind: 'configure' }>,
  root: string,
): Promise<void> {
  const accounts = new AccountFiles(root);
  const account = await accounts.ensure(user);
  await accounts.makeAdmin(user);
  await chownTree(join(root, account.home), account.uid, account.gid);
  for (const dir of ['usr/local', 'code']) {
    const path = join(root, dir);
    await mkdir(path, { recursive: true });
    await openToAll(path);
  }
}
