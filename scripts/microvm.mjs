// Lays out dist/microvm: the kernel and the initial file system of virtual machines, from Debian's cloud kernel, which is
// downloaded and unpacked but not installed. Needs apt-get, dpkg-deb, busybox (static) and zstd.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = dirname(dirname(fileURLToPath(import.meta.url)));
// A link to elsewhere if packages keep this folder.
const target = await realpath(join(root, 'dist/microvm')).catch(() => join(root, 'dist/microvm'));
const init = join(root, 'scripts/microvm/init');

const KERNEL = 'linux-image-cloud-amd64';
const BUSYBOX = '/usr/bin/busybox';
const MODULES = [
  'drivers/virtio/virtio_mmio',
  'net/core/failover',
  'drivers/net/net_failover',
  'drivers/block/virtio_blk',
  'drivers/net/virtio_net',
  'drivers/char/hw_random/virtio-rng',
  'drivers/virtio/virtio_balloon',
  'lib/libcrc32c',
  'fs/netfs/netfs',
  'fs/erofs/erofs',
  'fs/overlayfs/overlay',
  'net/sunrpc/sunrpc',
  'fs/nfs_common/grace',
  'fs/nfs_common/nfs_acl',
  'fs/lockd/lockd',
  'fs/nfs/nfs',
  'fs/nfs/nfsv3',
];

/** What the machine's files are made of: where it is the same as last time nothing is to be done. */
async function sourcesDigest() {
  const own = await Promise.all(
    [init, fileURLToPath(import.meta.url), BUSYBOX].map((file) => readFile(file)),
  );
  return createHash('sha256').update(Buffer.concat(own)).digest('hex');
}

/** Undefined where the archive has no such kernel: only Debian's does. */
async function kernelPackage() {
  const { stdout } = await run('apt-cache', ['depends', KERNEL]).catch(() => ({ stdout: '' }));
  return /Depends: (linux-image-\S+)/.exec(stdout)?.[1];
}

/** Downloads and unpacks the kernel's package below `dir`. */
async function unpackKernel(dir, name) {
  await run('apt-get', ['download', '-q', name], { cwd: dir });
  const archive = (await readdir(dir)).find((name) => name.endsWith('.deb'));
  await run('dpkg-deb', ['-x', join(dir, archive), join(dir, 'files')]);
  const [version] = await readdir(join(dir, 'files/usr/lib/modules'));
  return {
    image: join(dir, 'files/boot', `vmlinuz-${version}`),
    modules: join(dir, 'files/usr/lib/modules', version, 'kernel'),
  };
}

/**
 * The ELF kernel in a compressed image (Documentation/arch/x86/boot.rst of Linux): QEMU starts it at its PVH entry, as Firecracker does, so that
 * nothing has to be unpacked at each boot, which takes seconds without KVM.
 */
async function extractKernel(image, output) {
  const bytes = await readFile(image);
  const setupSectors = bytes[0x1f1] || 4;
  const start = (setupSectors + 1) * 512 + bytes.readUInt32LE(0x248);
  // The last four bytes are the unpacked size.
  const payload = bytes.subarray(start, start + bytes.readUInt32LE(0x24c) - 4);
  await writeFile(`${output}.zst`, payload);
  await run('zstd', ['-q', '-d', '-f', `${output}.zst`, '-o', output]);
  await rm(`${output}.zst`);
}

/** An archive in the form that the kernel unpacks (cpio, "newc"). */
function archive(entries) {
  const parts = [];
  const pad = (length) => parts.push(Buffer.alloc((4 - (length % 4)) % 4));
  const add = (name, mode, content, inode) => {
    const path = Buffer.from(`${name}\0`);
    const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, path.length, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
    parts.push(Buffer.from(header), path);
    pad(header.length + path.length);
    parts.push(content);
    pad(content.length);
  };
  for (const [i, { name, mode, content = Buffer.alloc(0) }] of entries.entries())
    add(name, mode, content, i + 1);
  add('TRAILER!!!', 0, Buffer.alloc(0), 0);
  return Buffer.concat(parts);
}

const DIRECTORY = 0o040755;
const PROGRAM = 0o100755;
const FILE = 0o100644;

async function initialFiles(moduleDir) {
  const modules = MODULES.map(async (path) => {
    // Unpacked here once rather than at every boot.
    const { stdout } = await run(BUSYBOX, ['xzcat', join(moduleDir, `${path}.ko.xz`)], {
      encoding: 'buffer',
      maxBuffer: 64 * 1024 * 1024,
    });
    return { name: `modules/${path.split('/').at(-1)}.ko`, mode: FILE, content: stdout };
  });
  return archive([
    { name: 'bin', mode: DIRECTORY },
    { name: 'modules', mode: DIRECTORY },
    { name: 'bin/busybox', mode: PROGRAM, content: await readFile(BUSYBOX) },
    { name: 'init', mode: PROGRAM, content: await readFile(init) },
    ...(await Promise.all(modules)),
  ]);
}

const digest = await sourcesDigest();
const stamp = await readFile(join(target, 'stamp'), 'utf8').catch(() => '');
if (stamp !== digest) {
  const kernel = await kernelPackage();
  if (!kernel) {
    process.stderr.write(`islet: the archive of this system has no package ${KERNEL}, as Debian's has\n`);
    process.exit(1);
  }
  const work = await mkdtemp(join(tmpdir(), 'islet-kernel-'));
  const staged = `${target}.new`;
  try {
    await rm(staged, { recursive: true, force: true });
    await mkdir(staged, { recursive: true });
    const { image, modules } = await unpackKernel(work, kernel);
    await extractKernel(image, join(staged, 'vmlinux'));
    await writeFile(join(staged, 'initrd'), await initialFiles(modules));
    await writeFile(join(staged, 'stamp'), digest);
    await rm(target, { recursive: true, force: true });
    await rename(staged, target);
  } finally {
    await rm(work, { recursive: true, force: true });
    await rm(staged, { recursive: true, force: true });
  }
}
