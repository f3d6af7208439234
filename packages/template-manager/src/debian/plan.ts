import { CONFINED } from '../host/run.ts';
import type { DebianWish } from './reference.ts';
import { DEFAULT_MIRROR, type DebianMirror } from './sources.ts';

export interface DebianPlanInput extends DebianWish {
  mirror: DebianMirror;
  /** apt settings of the host that decide how it reaches the mirror, such as a proxy: `Acquire::… "value";` lines. */
  aptOptions: string[];
  /** Debian's archive keys, if they are not in apt's default place. */
  keyring: string | undefined;
  target: string;
}

/** Files that nobody reads in a sandbox, as dpkg's path patterns; it leaves them out of what is installed later, too. */
const LEFT_OUT = ['/usr/share/man/*', '/usr/share/info/*', '/usr/share/locale/*', '/usr/share/doc/*'];
const KEPT = ['/usr/share/locale/locale.alias', '/usr/share/doc/*/copyright'];

/** The command that makes a Debian root file system. Whatever happens to it, no mount and no process outlives it on the host. */
export function planDebian({
  suite,
  packages,
  mirror,
  aptOptions,
  keyring,
  target,
}: DebianPlanInput): string[] {
  return [
    ...CONFINED,
    ...['mmdebstrap', '--mode=root', '--variant=apt', '--format=directory', '--verbose'],
    ...(keyring ? [`--keyring=${keyring}`] : []),
    ...(packages.length > 0 ? [`--include=${packages.join(',')}`] : []),
    ...LEFT_OUT.map((path) => `--dpkgopt=path-exclude=${path}`),
    ...KEPT.map((path) => `--dpkgopt=path-include=${path}`),
    // A crash in the middle throws the tree away, so dpkg need not sync each file.
    '--dpkgopt=force-unsafe-io',
    ...aptOptions.map((option) => `--aptopt=${option}`),
    `--customize-hook=${forgetHost(suite)}`,
    suite,
    target,
    `deb ${mirror.main} ${suite} main`,
    `deb ${mirror.main} ${suite}-updates main`,
    `deb ${mirror.security} ${suite}-security main`,
  ];
}

/** What ties a root file system to the machine that made it goes, and what each machine has its own of, for the first use to make. */
function forgetHost(suite: string): string {
  return [
    'set -e; cd "$1"',
    'rm -f etc/apt/sources.list etc/apt/apt.conf.d/99mmdebstrap etc/apt/trusted.gpg.d/debian-archive-*.asc',
    `printf %s ${quote(debianSources(suite))} > etc/apt/sources.list.d/debian.sources`,
    'rm -f var/lib/dbus/machine-id etc/ssh/ssh_host_*; : > etc/machine-id',
    'rm -rf var/lib/apt/lists/* var/cache/apt/archives/*.deb var/cache/apt/*.bin var/log/*.log var/log/apt/*',
  ].join('; ');
}

/** Sandboxes install from Debian's own mirror: the host's may be one of its private network. */
function debianSources(suite: string): string {
  const stanza = (uri: string, suites: string) =>
    [
      'Types: deb',
      `URIs: ${uri}`,
      `Suites: ${suites}`,
      'Components: main',
      'Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp',
      '',
    ].join('\n');
  return `${stanza(DEFAULT_MIRROR.main, `${suite} ${suite}-updates`)}\n${stanza(DEFAULT_MIRROR.security, `${suite}-security`)}`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

const KEPT_APT_OPTION =
  /^Acquire::(?:https?::(?!Dl-Limit)[\w.:-]*|Check-Valid-Until|Check-Date|Retries|ForceIPv[46]) "[^"]*";$/;

/** Of `apt-config dump`, what decides how the host reaches a mirror and whether it believes it. */
export function keptAptOptions(dump: string): string[] {
  return dump
    .split('\n')
    .filter((line) => KEPT_APT_OPTION.test(line) && !line.endsWith(' "";'))
    .map((line) => line.slice(0, -1));
}
