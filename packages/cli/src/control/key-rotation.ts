import { type MasterKey, newMasterKey, type Vault } from '@islet/vault';
import type { MasterKeyFile } from '../host/master-key-file.ts';
import { AdministrationError } from './errors.ts';

export interface RotationRequest {
  /** Only has the next key be in the file, for it to be copied. */
  prepare: boolean;
  /** Takes the keys out of the file that are not in use any more. */
  forget: boolean;
}

/** What came of a rotation. */
export interface RotationView {
  /** Of the key in use now. */
  keyId: string;
  /** Of the one that follows it at the next rotation; null if none is ready. */
  nextKeyId: string | null;
  /** What was encrypted anew. */
  resealed: number;
  /** Keys that were taken out of the file. */
  forgotten: number;
  file: string;
}

/** Gives an installation its next master key. */
export class KeyRotation {
  readonly #vault: Vault;
  readonly #file: MasterKeyFile;

  constructor({ vault, file }: { vault: Vault; file: MasterKeyFile }) {
    this.#vault = vault;
    this.#file = file;
  }

  /** @throws AdministrationError if the file is given from outside, and lacks what is to be done */
  async run({ prepare, forget }: RotationRequest): Promise<RotationView> {
    const before = await this.#vault.settle();
    const next = await this.#next(before);
    if (prepare) {
      return { keyId: before, nextKeyId: next.id, resealed: 0, forgotten: 0, file: this.#file.path };
    }
    const resealed = await this.#vault.rotate(next.id);
    const forgotten = forget ? await this.#forget(next) : 0;
    return { keyId: next.id, nextKeyId: null, resealed, forgotten, file: this.#file.path };
  }

  /** The newest of the file, unless that is in use. */
  async #next(inUse: string): Promise<MasterKey> {
    const keys = await this.#file.all();
    const newest = keys.at(-1);
    if (newest && newest.id !== inUse) return newest;
    if (!this.#file.isOwn) {
      throw new AdministrationError(
        `${this.#file.path} is only read: append the next key to it, a line of 64 hexadecimal digits (openssl rand -hex 32)`,
      );
    }
    const made = newMasterKey();
    await this.#file.write([...keys, made]);
    return made;
  }

  async #forget(inUse: MasterKey): Promise<number> {
    if (!this.#file.isOwn) {
      throw new AdministrationError(
        `all is encrypted under ${inUse.id} now; ${this.#file.path} is only read: take the other keys out of it`,
      );
    }
    const keys = await this.#file.all();
    await this.#file.write([inUse]);
    return keys.length - 1;
  }
}
