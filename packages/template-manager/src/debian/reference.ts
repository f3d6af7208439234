import { BuildError } from '../builds/build-error.ts';

/** A Debian root file system that is made here, of packages from a mirror. */
export interface DebianWish {
  suite: string;
  /** Beside Debian's essential ones and apt. */
  packages: readonly string[];
}

/** What templates build on in place of an image: `islet/debian:13`, with packages `islet/debian:13?packages=curl,git`. */
const REFERENCE = /^islet\/debian(?::([^?]*))?(?:\?(.*))?$/;
const SUITES: Readonly<Record<string, string>> = { '13': 'trixie', trixie: 'trixie', latest: 'trixie' };
const PACKAGES = /^packages=[a-z0-9][a-z0-9+.-]+(?:,[a-z0-9][a-z0-9+.-]+)*$/;

/**
 * What a reference asks for; undefined if it names an image of a registry.
 * @throws BuildError of phase `base` if it is ours and wrong.
 */
export function parseDebianReference(reference: string): DebianWish | undefined {
  const match = REFERENCE.exec(reference);
  if (!match) return undefined;
  const [, version = 'latest', query] = match;
  const suite = Object.hasOwn(SUITES, version) ? SUITES[version] : undefined;
  if (!suite) {
    throw new BuildError(
      'base',
      `islet/debian:${version} is not made here: the one there is, is islet/debian:13`,
    );
  }
  if (query === undefined) return { suite, packages: [] };
  if (!PACKAGES.test(query)) {
    throw new BuildError(
      'base',
      `'${reference}' is wrong behind the '?': packages=<name>,<name> is what may stand there`,
    );
  }
  return { suite, packages: query.slice('packages='.length).split(',') };
}
