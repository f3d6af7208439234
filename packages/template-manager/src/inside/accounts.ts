import { chmod, chown, cp, mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TaskError } from './task.ts';
import { chownTree, kindOf } from './tree.ts';

export interface Account {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

/** First number of people's accounts on every common system. */
const FIRST_UID = 1000;
const LAST_UID = 59_999;
const ADMIN_GROUPS = ['sudo', 'wheel', 'admin'];

/** Where sudo's own settings are known, by distribution and release. */
const SUDO_PLUGINS = ['usr/libexec/sudo/sudoers.so', 'usr/lib/sudo/sudoers.so'];

/**
 * sudo's question to PAM whether an account has expired, which is of no use to accounts without passwords. PAM's answer closes
 * 65,532 descriptors one by one if the kernel refuses `close_range(2)` up to the last one, as gVisor does (release
 * 20240729): nearly all of the time that sudo took. The setting came with sudo 1.8.23 (2018); earlier ones complain of it.
 */
const ACCOUNT_CHECK = 'pam_acct_mgmt';

/**
 * The users and groups of an image, in their files: images differ in what programs they have for it, and some have none.
 * `root` is where the image's `/` is.
 */
export class AccountFiles {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async find(name: string): Promise<Account | undefined> {
    return (await this.#accounts()).find((account) => account.name === name);
  }

  /** A group's number, by its name or as digits. */
  async groupId(name: string): Promise<number | undefined> {
    if (/^\d+$/.test(name)) return Number(name);
    const group = (await this.#lines('group')).find((line) => line.startsWith(`${name}:`));
    return group === undefined ? undefined : Number(group.split(':')[2]);
  }

  /**
   * Makes a user with a home and a shell, without a password, if there is none of this name. A number names that user id,
   * which keeps its group and home if it has them.
   */
  async ensure(name: string): Promise<Account> {
    const existing = await this.find(name);
    if (existing) return existing;
    const accounts = await this.#accounts();
    const same = /^\d+$/.test(name) ? accounts.find(({ uid }) => uid === Number(name)) : undefined;
    const uid = /^\d+$/.test(name)
      ? Number(name)
      : await this.#freeId(accounts.map((account) => account.uid));
    const gid = same?.gid ?? (await this.#ensureGroup(name, uid));
    const home = same?.home ?? `/home/${name}`;
    await this.#append('passwd', `${name}:x:${uid}:${gid}::${home}:/bin/bash`, 0o644);
    // `*` is no password that anything hashes to, and unlike `!` does not lock the account.
    await this.#append('shadow', `${name}:*:19000:0:99999:7:::`, 0o640);
    const account = { name, uid, gid, home };
    await this.ensureHome(account);
    return account;
  }

  /** Lets a user become root without a password. */
  async makeAdmin(name: string): Promise<void> {
    const lines = await this.#lines('group');
    const group = ADMIN_GROUPS.find((admin) => lines.some((line) => line.startsWith(`${admin}:`)));
    const admins = group ?? 'sudo';
    if (!group) await this.#append('group', 'sudo:x:27:', 0o644);
    await this.#addMember(admins, name);
    const sudoers = join(this.#root, 'etc/sudoers.d');
    await mkdir(sudoers, { recursive: true, mode: 0o750 });
    // A dot in a file's name would make sudo pass over it.
    const file = join(sudoers, name.replaceAll('.', '_'));
    const defaults = (await this.#knows(ACCOUNT_CHECK)) ? `Defaults !${ACCOUNT_CHECK}\n` : '';
    await writeFile(file, `${defaults}${name} ALL=(ALL:ALL) NOPASSWD: ALL\n`);
    await chmod(file, 0o440);
  }

  /** Whether the image's sudo has a setting; one that is installed later is taken for a newer one. */
  async #knows(setting: string): Promise<boolean> {
    for (const path of SUDO_PLUGINS) {
      const plugin = await readFile(join(this.#root, path)).catch(() => undefined);
      if (plugin) return plugin.includes(setting);
    }
    return true;
  }

  /** Makes a user's home if there is none. */
  async ensureHome({ home, uid, gid }: Account): Promise<void> {
    const dir = join(this.#root, home);
    if ((await kindOf(dir)) !== 'missing') return;
    await mkdir(dirname(dir), { recursive: true });
    const skeleton = join(this.#root, 'etc/skel');
    if ((await kindOf(skeleton)) === 'directory')
      await cp(skeleton, dir, { recursive: true, verbatimSymlinks: true });
    else await mkdir(dir, { recursive: true });
    await chmod(dir, 0o755);
    await chownTree(dir, uid, gid);
  }

  async #ensureGroup(name: string, wanted: number): Promise<number> {
    const known = /^\d+$/.test(name) ? undefined : await this.groupId(name);
    if (known !== undefined) return known;
    const used = (await this.#lines('group')).map((line) => Number(line.split(':')[2]));
    const gid = used.includes(wanted) && !/^\d+$/.test(name) ? await this.#freeId(used) : wanted;
    if (!used.includes(gid)) await this.#append('group', `${name}:x:${gid}:`, 0o644);
    return gid;
  }

  async #addMember(group: string, user: string): Promise<void> {
    const lines = (await this.#lines('group')).map((line) => {
      const [name, password, gid, members = ''] = line.split(':');
      if (name !== group || members.split(',').includes(user)) return line;
      return [name, password, gid, members === '' ? user : `${members},${user}`].join(':');
    });
    await this.#write('group', lines, 0o644);
  }

  async #freeId(used: readonly number[]): Promise<number> {
    for (let id = FIRST_UID; id <= LAST_UID; id++) if (!used.includes(id)) return id;
    throw new TaskError('the image has no free user id left');
  }

  async #accounts(): Promise<Account[]> {
    return (await this.#lines('passwd')).flatMap((line) => {
      const [name = '', , uid, gid, , home = '/'] = line.split(':');
      return name === '' ? [] : [{ name, uid: Number(uid), gid: Number(gid), home: home || '/' }];
    });
  }

  async #lines(file: string): Promise<string[]> {
    const text = await readFile(join(this.#root, 'etc', file), 'utf8').catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return '';
        throw error;
      },
    );
    return text.split('\n').filter((line) => line !== '');
  }

  async #append(file: string, line: string, mode: number): Promise<void> {
    await this.#write(file, [...(await this.#lines(file)), line], mode);
  }

  /** By a rename: a crash leaves the old file or the new one. What is there keeps its mode and owner. */
  async #write(file: string, lines: readonly string[], mode: number): Promise<void> {
    const path = join(this.#root, 'etc', file);
    const known = await stat(path).catch(() => undefined);
    const temporary = `${path}.islet`;
    await writeFile(temporary, `${lines.join('\n')}\n`);
    await chmod(temporary, known ? known.mode & 0o777 : mode);
    if (known) await chown(temporary, known.uid, known.gid);
    await rename(temporary, path);
  }
}
