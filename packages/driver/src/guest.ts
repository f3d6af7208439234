import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Where the guest runtime (node, its libraries, envd) is seen in every sandbox. */
export const GUEST_MOUNT = '/opt/islet';

/** Name of the dynamic linker among the guest files' libraries. @throws Error if there is none. */
export async function linkerName(guestDir: string): Promise<string> {
  const name = (await readdir(join(guestDir, 'lib'))).find((file) => /^ld-.*\.so/.test(file));
  if (!name) throw new Error(`${guestDir}/lib holds no dynamic linker: build Islet again`);
  return name;
}

/** The command that runs a script of the guest files on their node, whatever C library the image has, if any. */
export function guestNodeCommand(ldName: string, nodeOptions: readonly string[], script: string): string[] {
  return [
    `${GUEST_MOUNT}/lib/${ldName}`,
    '--library-path',
    `${GUEST_MOUNT}/lib`,
    `${GUEST_MOUNT}/node`,
    ...nodeOptions,
    `${GUEST_MOUNT}/${script}`,
  ];
}
