import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

/** Machines run as users of this range that nobody else has. */
const FIRST_UID = 1_000_000_000;
const UID_COUNT = 2 ** 29;

/** In a machine's state. */
const FILE = 'user';

/** Which user each machine's VMM runs as: one that no other machine has, whatever their ids. */
export class MachineUsers {
  readonly #stateDir: string;
  readonly #users = new Map<string, number>();

  private constructor(stateDir: string) {
    this.#stateDir = stateDir;
  }

  /** Finds the users of machines that outlived an earlier process. @param stateDir holds a folder a machine */
  static async open(stateDir: string): Promise<MachineUsers> {
    const users = new MachineUsers(stateDir);
    for (const id of await readdir(stateDir)) {
      const text = await readFile(join(stateDir, id, FILE), 'utf8').catch(() => '');
      // Without a file it was cut off before it had one, or an earlier version started it.
      users.#users.set(id, /^\d+$/.test(text) ? Number(text) : wantedBy(id));
    }
    return users;
  }

  /** Gives a machine, whose folder is there, a user until `release`. */
  async take(id: string): Promise<number> {
    const taken = new Set(this.#users.values());
    let uid = wantedBy(id);
    while (taken.has(uid)) uid = FIRST_UID + ((uid + 1 - FIRST_UID) % UID_COUNT);
    this.#users.set(id, uid);
    await writeFile(join(this.#stateDir, id, FILE), String(uid), { mode: 0o600 });
    return uid;
  }

  /** @throws Error if it has none */
  of(id: string): number {
    const uid = this.#users.get(id);
    if (uid === undefined) throw new Error(`machine ${id} has no user`);
    return uid;
  }

  /** Nothing of the machine may run any more. */
  release(id: string): void {
    this.#users.delete(id);
  }
}

/** Mostly nobody else has it. */
function wantedBy(id: string): number {
  return FIRST_UID + (crc32(id) % UID_COUNT);
}
