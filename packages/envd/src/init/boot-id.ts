import type { Mounts } from '../native/mounts.ts';
import type { IdentityFiles } from './identity.ts';

/** Where programs look for it. The kernel's own is saved with a sandbox's memory, so all clones of one have the same. */
const SHOWN_AT = '/proc/sys/kernel/random/boot_id';
/** What is shown there instead. */
export const BOOT_ID = '/run/islet/boot_id';

/** Shows a boot id that can be changed in the place of the kernel's. @throws SystemError if the kernel does not allow it. */
export function replaceBootId(mounts: Pick<Mounts, 'bind'>, files: IdentityFiles): void {
  files.write(BOOT_ID, files.read(SHOWN_AT));
  mounts.bind(BOOT_ID, SHOWN_AT);
}

/** A UUID of version 4 made of 16 random bytes, as the kernel writes its boot id. */
export function bootIdOf(random: Buffer): string {
  const bytes = Buffer.from(random);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return `${bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')}\n`;
}
