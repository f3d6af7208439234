import { execFile } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { AccountFiles } from './accounts.ts';
import type { InsideTask, ProvisionFiles } from './task.ts';
import { chownTree, kindOf, openToAll, writeIfMissing } from './tree.ts';

const run = promisify(execFile);

/** Where programs that need nothing of an image are seen in every sandbox. */
const GUEST_BIN = '/opt/islet/bin';

/** Whoever has these has the rest that goes with them, or left it out by choice. */
const CORE_TOOLS = ['cat', 'cp', 'id', 'ls', 'mkdir', 'rm', 'sleep', 'stat', 'touch'];

/** What of BusyBox is not given to images without a tool of that name: they have their own ways to change what runs. */
const NOT_GIVEN: ReadonlySet<string> = new Set([
  ...[
    'busybox',
    'init',
    'linuxrc',
    'halt',
    'poweroff',
    'reboot',
    'runlevel',
    'sulogin',
    'getty',
    'login',
    'su',
    'vlock',
  ],
  ...['dpkg', 'dpkg-deb', 'rpm', 'passwd', 'adduser', 'addgroup', 'deluser', 'delgroup'],
]);

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
  await addHosts(join(root, 'etc/hosts'));
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
  for (const name of ['bash', 'sh']) there.add(name);
  if (CORE_TOOLS.every((name) => there.has(name))) return;
  const { stdout } = await run(join(GUEST_BIN, 'busybox'), ['--list']);
  for (const name of stdout.split('\n').filter(Boolean)) {
    if (!there.has(name) && !NOT_GIVEN.has(name)) await add(name, 'busybox');
  }
}

/** Builders of images leave the file out, or empty, since containers get their own. */
async function addHosts(path: string): Promise<void> {
  await writeIfMissing(path, '');
  const text = await readFile(path, 'utf8');
  if (!/\slocalhost\b/.test(text)) await writeFile(path, `127.0.0.1 localhost\n::1 localhost\n${text}`);
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
  await accounts.ensureHome(account);
  // An image may have given the user any home, `/` too: that stays whose it is.
  if (account.home.startsWith('/home/')) {
    await chownTree(join(root, account.home), account.uid, account.gid);
  }
  for (const dir of ['usr/local', 'code']) {
    const path = join(root, dir);
    await mkdir(path, { recursive: true });
    await openToAll(path);
  }
}
