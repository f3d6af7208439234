import type { Stats } from 'node:fs';
import { idsOfNamespace } from '@islet/host';
import koffi from 'koffi';

const lgetxattr = koffi
  .load('libc.so.6')
  .func('intptr_t lgetxattr(const char *path, const char *name, _Out_ uint8_t *value, size_t size)');

/** Where overlayfs marks directories: root of a user namespace may set no trusted attributes. */
const OPAQUE = `${idsOfNamespace() === undefined ? 'trusted' : 'user'}.overlay.opaque`;

/** Overlayfs's mark for "nothing of the layers below is here any more". */
export function isWhiteout(stat: Stats): boolean {
  return stat.isCharacterDevice() && stat.rdev === 0;
}

/** Whether a directory of an upper layer hides all that the layers below hold in it. */
export function isOpaque(dir: string): boolean {
  const value = Buffer.alloc(1);
  return Number(lgetxattr(dir, OPAQUE, value, value.length)) === 1 && value[0] === 0x79; // 'y'
}
