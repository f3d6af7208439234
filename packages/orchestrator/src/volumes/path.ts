import {
  volumeNameTooLong,
  volumePathTooLong,
  volumePathWithNul,
  volumePathWithParent,
} from '@islet/contracts';

const MAX_BYTES = 4000;
const MAX_NAME_BYTES = 255;

/** A path inside a volume: the names that lead from its root, none of them `.` or `..`. Empty: the root itself. */
export class VolumePath {
  readonly names: readonly string[];

  private constructor(names: readonly string[]) {
    this.names = names;
  }

  /**
   * Reads a path as clients write it; one without a leading slash begins at the root, too.
   * @throws IsletError 400 if it cannot be one inside a volume.
   */
  static parse(text: string): VolumePath {
    if (text.includes('\0')) throw volumePathWithNul();
    if (Buffer.byteLength(text) > MAX_BYTES) throw volumePathTooLong(MAX_BYTES);
    const names = text.split('/').filter((name) => name !== '' && name !== '.');
    for (const name of names) {
      if (name === '..') throw volumePathWithParent();
      if (Buffer.byteLength(name) > MAX_NAME_BYTES) {
        throw volumeNameTooLong(MAX_NAME_BYTES);
      }
    }
    return new VolumePath(names);
  }

  get isRoot(): boolean {
    return this.names.length === 0;
  }

  /** The last name; of the root a slash. */
  get name(): string {
    return this.names.at(-1) ?? '/';
  }

  get parent(): VolumePath {
    return new VolumePath(this.names.slice(0, -1));
  }

  /** The directories above it, outermost first, without the root. */
  ancestors(): VolumePath[] {
    return this.names.slice(0, -1).map((_, i) => new VolumePath(this.names.slice(0, i + 1)));
  }

  child(name: string): VolumePath {
    return new VolumePath([...this.names, name]);
  }

  /** As system calls want it, relative to the root. */
  get relative(): string {
    return this.names.join('/') || '.';
  }

  /** As clients see it. */
  toString(): string {
    return `/${this.names.join('/')}`;
  }
}
