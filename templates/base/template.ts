import { Template } from 'e2b';

/** What agents expect to find. The scripts of packages need no sandbox: they run when the root file system is made. */
const PACKAGES = [
  'bash-completion',
  'bind9-dnsutils',
  'build-essential',
  'bzip2',
  'ca-certificates',
  'curl',
  'fd-find',
  'file',
  'git',
  'gnupg',
  'iproute2',
  'iputils-ping',
  'jq',
  'less',
  'lsof',
  'mount',
  'nano',
  'netcat-openbsd',
  'nodejs',
  'npm',
  'openssh-client',
  'openssl',
  'patch',
  'pkg-config',
  'procps',
  'psmisc',
  'python-is-python3',
  'python3',
  'python3-dev',
  'python3-pip',
  'python3-venv',
  'ripgrep',
  'rsync',
  'socat',
  'sqlite3',
  'sudo',
  'tmux',
  'tree',
  'tzdata',
  'unzip',
  'vim-tiny',
  'wget',
  'xz-utils',
  'zip',
  'zstd',
];

/** What `islet up` and its users call it. */
export const about = { name: 'base', title: 'Base template' };

/** The size that its sandboxes get. */
export const size = { cpuCount: 2, memoryMB: 512, minFreeDiskMb: 512 };

/**
 * Debian with the packages of `base` and more of them, and what agents expect of it. Templates that ship with Islet begin with it:
 * their packages are installed on the host, where that takes seconds.
 */
export const debianWith = (morePackages: readonly string[]) =>
  Template()
    .fromImage(`islet/debian:13?packages=${[...PACKAGES, ...morePackages].join(',')}`)
    .copy('files', '/', { user: 'root' })
    .runCmd(
      [
        // Debian's marker makes pip refuse to install; diverted, it does not come back with an upgrade.
        'for file in /usr/lib/python3*/EXTERNALLY-MANAGED; do dpkg-divert --quiet --local --rename --divert "$file.dist" --add "$file"; done',
        // fd is called fdfind in Debian; agents call it by its own name.
        'ln -s /usr/bin/fdfind /usr/local/bin/fd',
        // Where pip and npm install for everybody. All below /usr/local is opened to all at the end of every build.
        'mkdir -p /usr/local/lib/node_modules',
        // Both homes were made before there were ours.
        'cp /etc/skel/.bashrc /etc/skel/.profile /root/',
        'cp /etc/skel/.bashrc /etc/skel/.profile /home/user/',
      ],
      { user: 'root' },
    )
    .setWorkdir('/home/user');

/** Debian with Python, Node.js, git, build tools and the command-line tools that agents expect. */
export const template = debianWith([]);
