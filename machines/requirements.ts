import { attempt, run } from './process/run.ts';

/** Package → a program of it, or a file. */
const NEEDED = {
  mmdebstrap: 'mmdebstrap',
  'qemu-system-x86': 'qemu-system-x86_64',
  e2fsprogs: 'mke2fs',
  'openssh-client': 'ssh',
  'util-linux': 'unshare',
  'ubuntu-keyring': '/usr/share/keyrings/ubuntu-archive-keyring.gpg',
  runsc: 'runsc',
} as const;

/**
 * Installs what the machines are made and run with.
 * @throws if this is not root, or apt-get fails
 */
export async function installRequirements(signal: AbortSignal, say: (text: string) => void): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('images are made as root: sudo npm run test:machines');
  const missing: string[] = [];
  for (const [name, sign] of Object.entries(NEEDED)) {
    const { status } = await attempt(['sh', '-c', 'command -v "$0" || test -e "$0"', sign], { signal });
    if (status !== 0) missing.push(name);
  }
  if (missing.length === 0) return;
  say(`installing ${missing.join(', ')}`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await run(['apt-get', 'update', '-q'], { signal, env });
  await run(['apt-get', 'install', '-q', '-y', '--no-install-recommends', ...missing], { signal, env });
}
