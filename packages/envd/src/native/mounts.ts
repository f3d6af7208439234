import { openProgram } from '@islet/posix-spawn';
import { checked, syscallNumbers } from './libc.ts';

export type MountFlag = 'readonly' | 'nosuid' | 'nodev';

/** The calls that arrange file systems; all throw SystemError if the kernel does not allow it. */
export interface Mounts {
  mount(source: string, target: string, kind: string, options: string, flags?: readonly MountFlag[]): void;
  /** Changes how a mounted file system may be used. */
  remount(path: string, flags: readonly MountFlag[]): void;
  /** Shows a mounted file system, without what is mounted below it, at a second place. */
  bind(source: string, target: string): void;
  /** Takes a file system away from a place; files of it that are open stay so. */
  unmount(path: string): void;
  /** Makes the working directory, a mount point, the root of all processes, and lets the old root go. */
  enterRoot(): void;
  /** Takes the space of a file of this length, all of it unwritten, from a file system in gVisor's memory or filestore. */
  reserve(descriptor: number, bytes: number): void;
}

/** mount(2) */
const MS = { readonly: 0x1, nosuid: 0x2, nodev: 0x4, remount: 0x20, bind: 0x1000 };
const MNT_DETACH = 2;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;

const bits = (flags: readonly MountFlag[]) => flags.reduce((sum, flag) => sum | MS[flag], 0);

export function createMounts(arch: string = process.arch): Mounts {
  const program = openProgram();
  const numbers = syscallNumbers(arch);
  const mount = program.func(
    'int mount(const char *source, const char *target, const char *kind, ulong flags, const char *options)',
  );
  const umount = program.func('int umount2(const char *, int)');
  const pivotRoot = program.func('syscall', 'long', ['long', 'const char *', 'const char *']);
  const map = program.func('intptr_t mmap(void *, size_t, int, int, int, intptr_t)');
  const unmap = program.func('int munmap(intptr_t, size_t)');
  const copy = program.func('void *memcpy(void *, intptr_t, size_t)');

  return {
    mount(source, target, kind, options, flags = []) {
      checked('mount', mount(source, target, kind, bits(flags), options));
    },
    remount(path, flags) {
      checked('mount', mount('none', path, null, MS.remount | bits(flags), null));
    },
    bind(source, target) {
      checked('mount', mount(source, target, null, MS.bind, null));
    },
    unmount(path) {
      checked('umount2', umount(path, MNT_DETACH));
    },
    enterRoot() {
      // pivot_root(2) describes it: with both the same, the old root is on top of the new one and is unmounted there.
      checked('pivot_root', Number(pivotRoot(numbers.pivotRoot, '.', '.')));
      checked('umount2', umount('.', MNT_DETACH));
    },
    reserve(descriptor, bytes) {
      // gVisor charges a whole mapping to its file system with the first touch, and keeps no memory for pages never touched.
      const address = map(null, bytes, PROT_READ_WRITE, MAP_SHARED, descriptor, 0);
      checked('mmap', Number(address));
      copy(Buffer.alloc(1), address, 1);
      checked('munmap', unmap(address, bytes));
    },
  };
}
