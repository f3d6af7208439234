import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Exec } from '@islet/host';
import type { FirecrackerPrograms } from './jail.ts';

/** The programs that were named cannot be used; the message says why, and what to do. */
export class FirecrackerUnusable extends Error {
  override readonly name = 'FirecrackerUnusable';
}

/** Where Firecracker is, as its owner says. */
export interface FirecrackerPaths {
  firecracker: string;
  /** Undefined: beside it. */
  jailer: string | undefined;
}

export interface FoundFirecracker {
  programs: FirecrackerPrograms;
  version: string;
}

const RELEASES = 'https://github.com/firecracker-microvm/firecracker/releases';

/** The first whose balloon gives back what the guest frees by itself; full snapshots are no preview any more. */
const OLDEST = { major: 1, minor: 14 };

/** Finds both programs and sees that they are of a version that is known. @throws FirecrackerUnusable */
export async function findFirecracker(paths: FirecrackerPaths, exec: Exec): Promise<FoundFirecracker> {
  const firecracker = await findProgram('--firecracker', paths.firecracker);
  if (!basename(firecracker).includes('firecracker')) {
    // The jailer's own rule.
    throw new FirecrackerUnusable(
      `${firecracker} has to have "firecracker" in its name: the jailer starts no other program`,
    );
  }
  const version = await versionOf('Firecracker', firecracker, exec);
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major !== OLDEST.major || minor < OLDEST.minor) {
    throw new FirecrackerUnusable(
      `${firecracker} is Firecracker ${version}, and Islet knows ${OLDEST.major}.${OLDEST.minor} and later ones of ${OLDEST.major}: get one from ${RELEASES}`,
    );
  }
  const jailer = await findProgram('--jailer', paths.jailer ?? besideOf(firecracker));
  const jailerVersion = await versionOf('Jailer', jailer, exec);
  if (jailerVersion !== version) {
    throw new FirecrackerUnusable(
      `${jailer} is of version ${jailerVersion}, and ${firecracker} of ${version}: take both from one release`,
    );
  }
  return { programs: { firecracker, jailer }, version };
}

/** A release holds firecracker-v1.14.0-x86_64 and jailer-v1.14.0-x86_64; installed they are `firecracker` and `jailer`. */
function besideOf(firecracker: string): string {
  return join(dirname(firecracker), basename(firecracker).replace('firecracker', 'jailer'));
}

async function findProgram(flag: string, path: string): Promise<string> {
  const real = await realpath(path).catch((cause: unknown) => {
    throw new FirecrackerUnusable(
      `${path} is not there: ${flag} takes the path of the program, which is in the archives of ${RELEASES}`,
      { cause },
    );
  });
  const { mode } = await stat(real);
  // Each machine's Firecracker runs as a user of its own, from a copy with the same mode.
  if ((mode & 0o005) !== 0o005) {
    throw new FirecrackerUnusable(`${real} may not be run by every user: chmod 755 ${real}`);
  }
  return real;
}

async function versionOf(name: string, program: string, exec: Exec): Promise<string> {
  const answer = await exec(program, ['--version']).catch((cause: unknown) => {
    throw new FirecrackerUnusable(
      `${program} does not run (${(cause as Error).message.split('\n')[0]}): get one for this machine from ${RELEASES}`,
      { cause },
    );
  });
  const version = new RegExp(`^${name} v(\\d+\\.\\d+\\.\\S+)`, 'm').exec(answer)?.[1];
  if (version === undefined) {
    const said = answer.split('\n')[0];
    throw new FirecrackerUnusable(`${program} is not ${name}: to --version it says "${said}"`);
  }
  return version;
}
