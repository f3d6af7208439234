import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type HostNetwork, networkFiles } from '../network.ts';
import type { Source } from '../source.ts';
import type { Addition } from './image.ts';
import { USER } from './recipe.ts';

/** Where a prepared machine has its checkout. */
export const CHECKOUT = `/home/${USER.name}/islet`;

/**
 * What spares a translated machine its first quarter of an hour: the user's checkout, and all that `./islet setup` installs and
 * builds, done here in a chroot at full speed by the command itself.
 */
export async function prepared(
  source: Source,
  network: HostNetwork,
  cacheDir: string,
  { withTests }: { withTests: boolean },
): Promise<Addition> {
  const files = networkFiles(network, [`/home/${USER.name}`, '/root']);
  const list = join(cacheDir, 'network-files.json');
  await writeFile(list, JSON.stringify(files));
  return {
    name: withTests ? 'contributor' : 'prepared',
    version: source.commit,
    script: script(withTests ? `${SET_UP} --with-microvm && npm ci --no-audit --no-fund` : SET_UP),
    environment: { ISLET_BUNDLE: source.bundle, NETWORK_FILES: list, NODE: process.execPath },
  };
}

const SET_UP = './islet setup';

const script = (setUp: string) => `
set -eu
cd "$1"
"$NODE" -e '
  const { mkdirSync, readFileSync, writeFileSync } = require("node:fs");
  for (const [path, content] of Object.entries(JSON.parse(readFileSync(process.argv[1], "utf8")))) {
    mkdirSync(process.argv[2] + path.replace(/[^/]*$/, ""), { recursive: true });
    writeFileSync(process.argv[2] + path, content);
  }
' "$NETWORK_FILES" "$1"
cp etc/resolv.conf etc/resolv.conf.own
cp /etc/resolv.conf etc/resolv.conf
cp "$ISLET_BUNDLE" srv/islet.bundle
chmod 644 srv/islet.bundle
# No daemon of a package may start here.
printf '#!/bin/sh\\nexit 101\\n' > usr/sbin/policy-rc.d
chmod 755 usr/sbin/policy-rc.d
chroot . su - ${USER.name} -c 'git clone -q /srv/islet.bundle islet && cd islet && ${setUp}' >&2
rm usr/sbin/policy-rc.d
mv etc/resolv.conf.own etc/resolv.conf
rm -rf var/lib/apt/lists/* var/cache/apt/archives/*.deb
`;
