import { randomBytes, randomUUID } from 'node:crypto';
import {
  chmod,
  chown,
  link,
  mkdir,
  mkdtemp,
  readFile,
  rm,
  rmdir,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Exec, type HostExec, openHostExec } from '@islet/host';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ExportedVolume } from '../src/exported-volume.ts';
import { openKernelFiles } from '../src/kernel-files.ts';
import { keyOf, volumePrograms } from '../src/programs.ts';
import { answerCall } from '../src/rpc.ts';
import { XdrError, XdrReader, XdrWriter } from '../src/xdr.ts';

const NFS = 100_003;
const MOUNT = 100_005;
const Proc = {
  getattr: 1,
  setattr: 2,
  lookup: 3,
  access: 4,
  readlink: 5,
  read: 6,
  write: 7,
  create: 8,
  mkdir: 9,
  symlink: 10,
  mknod: 11,
  remove: 12,
  rmdir: 13,
  rename: 14,
  link: 15,
  readdir: 16,
  fsstat: 18,
} as const;
/** As RFC 1813 numbers them. */
const Status = {
  ok: 0,
  perm: 1,
  noent: 2,
  access: 13,
  exist: 17,
  notdir: 20,
  isdir: 21,
  inval: 22,
  fbig: 27,
  nospc: 28,
  nametoolong: 63,
  notempty: 66,
  stale: 70,
  badhandle: 10_001,
  badcookie: 10_003,
  toosmall: 10_005,
} as const;
const GARBAGE = 4;

const SIZE_MB = 16;
const ROOT = 0;
const USER = 1000;

/** Mounting asks for root. */
describe.runIf(process.getuid?.() === 0)('the server of volumes', () => {
  let dir: string;
  let host: HostExec;
  let id: string;
  let otherId: string;
  const exported: ExportedVolume[] = [];
  let root: Buffer;
  let otherRoot: Buffer;
  let failures: unknown[];
  let answer: (record: Buffer) => Promise<Buffer>;
  let onHost: (...names: string[]) => string;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'islet-nfs-'));
    host = openHostExec();
    [id, otherId] = [randomUUID(), randomUUID()];
    const files = openKernelFiles();
    for (const volumeId of [id, otherId]) {
      exported.push(new ExportedVolume(volumeId, await mountVolume(dir, volumeId, host.exec), files));
    }
    [root, otherRoot] = exported.map((volume) => volume.root) as [Buffer, Buffer];
    const served = volumePrograms(new Map([[keyOf(id), exported[0] as ExportedVolume]]));
    failures = [];
    answer = (record) => answerCall(record, served, (error) => failures.push(error));
    onHost = (...names) => join(dir, id, ...names);
  });
  afterAll(async () => {
    for (const volume of exported) volume.close();
    for (const volumeId of [id, otherId]) await host.exec('umount', [join(dir, volumeId)]);
    host.close();
    await rm(dir, { recursive: true });
    expect(failures).toEqual([]);
  });

  const call = (program: number, procedure: number, args: Buffer, uid = ROOT, gid = uid): Buffer => {
    const credentials = new XdrWriter().u32(0).opaque(Buffer.from('guest')).u32(uid).u32(gid).u32(0);
    const head = new XdrWriter().u32(77).u32(0).u32(2).u32(program).u32(3).u32(procedure);
    return Buffer.concat([head.u32(1).opaque(credentials.bytes()).u32(0).u32(0).bytes(), args]);
  };
  /** The results of a call that was accepted. */
  const ask = async (procedure: number, args: XdrWriter, uid?: number): Promise<XdrReader> => {
    const reply = new XdrReader(await answer(call(NFS, procedure, args.bytes(), uid)));
    expect([reply.u32(), reply.u32(), reply.u32(), reply.u32(), reply.u32()]).toEqual([77, 1, 0, 0, 0]);
    expect(reply.u32()).toBe(0);
    return reply;
  };
  const status = async (...request: Parameters<typeof ask>): Promise<number> => (await ask(...request)).u32();
  const entry = (directory: Buffer, name: string | Buffer) =>
    new XdrWriter().opaque(directory).opaque(Buffer.from(name));
  const noAttributes = (writer: XdrWriter, mode?: number) => {
    writer.bool(mode !== undefined);
    if (mode !== undefined) writer.u32(mode);
    for (let field = 0; field < 5; field++) writer.u32(0);
    return writer;
  };
  const handleOf = async (name: string, directory = root): Promise<Buffer> => {
    const results = await ask(Proc.lookup, entry(directory, name));
    expect(results.u32(), name).toBe(Status.ok);
    return Buffer.from(results.opaque(64));
  };
  const named = async (name: string, content = 'x', { uid = ROOT, mode = 0o644 } = {}) => {
    await writeFile(onHost(name), content);
    await chown(onHost(name), uid, uid);
    await chmod(onHost(name), mode);
    return handleOf(name);
  };
  const newFile = (directory: Buffer, name: string, how: number, mode?: number) =>
    noAttributes(entry(directory, name).u32(how), mode);

  it('leads to the roots of its own volumes and of no others', async () => {
    const mount = async (path: string) => {
      const reply = new XdrReader(
        await answer(call(MOUNT, 1, new XdrWriter().opaque(Buffer.from(path)).bytes())),
      );
      reply.fixed(24);
      return reply.u32() === 0 ? reply.opaque(64) : undefined;
    };
    expect(await mount(`/${id}`)).toEqual(root);
    for (const path of [
      `/${otherId}`,
      '/',
      '',
      '/..',
      `/${id}/..`,
      `//${id}`,
      `/${id}\0`,
      '/etc',
      `/${'-'.repeat(36)}`,
    ])
      expect(await mount(path), path).toBeUndefined();
  });

  it('opens no handle that it did not give', async () => {
    const known = await named('known');
    const forged = (change: (handle: Buffer) => void) => {
      const handle = Buffer.from(known);
      change(handle);
      return handle;
    };
    const getAttributes = (handle: Buffer) => status(Proc.getattr, new XdrWriter().opaque(handle));
    expect(await getAttributes(known)).toBe(Status.ok);
    for (const handle of [
      otherRoot,
      Buffer.alloc(0),
      known.subarray(1),
      Buffer.concat([known, known]),
      randomBytes(24),
    ])
      expect(await getAttributes(handle), handle.toString('hex')).toBe(Status.badhandle);
    // Another of those that had this inode; the file system's own inodes, such as its journal; none at all.
    expect(
      await getAttributes(forged((handle) => handle.writeUInt32LE((handle.readUInt32LE(20) ^ 1) >>> 0, 20))),
    ).toBe(Status.stale);
    for (const inode of [0, 1, 3, 5, 7, 8, 2 ** 31, 2 ** 32 - 1]) {
      for (const generation of [0, 1]) {
        const handle = forged(
          (bytes) => bytes.writeUInt32LE(inode, 16) && bytes.writeUInt32LE(generation, 20),
        );
        expect(await getAttributes(handle), `inode ${inode}`).toBe(Status.stale);
      }
    }
    await rm(onHost('known'));
    expect(await getAttributes(known)).toBe(Status.stale);
  });

  it('takes one entry’s name for each name, and nothing that leads elsewhere', async () => {
    const known = await named('here');
    const bad = ['', '.', '..', '/', '/etc', 'a/b', '../here', 'a\0b', '\0'];
    const many: [number, (name: string) => XdrWriter][] = [
      [Proc.lookup, (name) => entry(root, name)],
      [Proc.create, (name) => newFile(root, name, 0)],
      [Proc.mkdir, (name) => noAttributes(entry(root, name))],
      [Proc.symlink, (name) => noAttributes(entry(root, name)).opaque(Buffer.from('x'))],
      [Proc.mknod, (name) => noAttributes(entry(root, name).u32(7))],
      [Proc.remove, (name) => entry(root, name)],
      [Proc.rmdir, (name) => entry(root, name)],
      [Proc.rename, (name) => entry(root, 'here').opaque(root).opaque(Buffer.from(name))],
      [Proc.rename, (name) => entry(root, name).opaque(root).opaque(Buffer.from('there'))],
      [Proc.link, (name) => new XdrWriter().opaque(known).opaque(root).opaque(Buffer.from(name))],
    ];
    for (const [procedure, args] of many) {
      for (const name of bad)
        expect(await status(procedure, args(name)), `${procedure} ${name}`).toBe(Status.inval);
      expect(await status(procedure, args('n'.repeat(256)))).toBe(Status.nametoolong);
    }
    expect(await readFile(onHost('here'), 'utf8')).toBe('x');
  });

  it('follows no link, on the way or at the end', async () => {
    await symlink('/etc', onHost('out'));
    await symlink('/etc/passwd', onHost('passwd'));
    const [out, passwd] = [await handleOf('out'), await handleOf('passwd')];
    expect(await status(Proc.lookup, entry(out, 'passwd'))).toBe(Status.notdir);
    expect(await status(Proc.create, newFile(out, 'islet-was-here', 0))).toBe(Status.notdir);
    expect(await status(Proc.read, new XdrWriter().opaque(passwd).u64(0n).u32(100))).toBe(Status.inval);
    const write = new XdrWriter().opaque(passwd).u64(0n).u32(1).u32(2).opaque(Buffer.from('x'));
    expect(await status(Proc.write, write)).toBe(Status.inval);
    expect(await status(Proc.create, newFile(root, 'passwd', 1))).toBe(Status.exist);
    const target = await ask(Proc.readlink, new XdrWriter().opaque(passwd));
    target.fixed(4 + 4 + 84);
    expect(target.opaque(100).toString()).toBe('/etc/passwd');
    // Owner and times are the link's own.
    const facts = async () => {
      const { uid, gid, mode, size, mtimeMs } = await stat('/etc/passwd');
      return { uid, gid, mode, size, mtimeMs };
    };
    const before = await facts();
    const owner = new XdrWriter()
      .opaque(passwd)
      .bool(false)
      .bool(true)
      .u32(7)
      .u32(0)
      .u32(0)
      .u32(1)
      .u32(1)
      .u32(0);
    expect(await status(Proc.setattr, owner)).toBe(Status.ok);
    expect(await facts()).toEqual(before);
  });

  it('keeps permission bits between the users of a sandbox', async () => {
    await mkdir(onHost('rootly'), { mode: 0o755 });
    const rootly = await handleOf('rootly');
    await writeFile(onHost('rootly', 'f'), 'x');
    const secret = await named('secret', 'secret', { mode: 0o600 });
    const refused: [string, number, XdrWriter][] = [
      ['create', Proc.create, newFile(rootly, 'x', 0)],
      ['mkdir', Proc.mkdir, noAttributes(entry(rootly, 'x'))],
      ['symlink', Proc.symlink, noAttributes(entry(rootly, 'x')).opaque(Buffer.from('y'))],
      ['mknod', Proc.mknod, noAttributes(entry(rootly, 'x').u32(7))],
      ['remove', Proc.remove, entry(rootly, 'f')],
      ['rename from', Proc.rename, entry(rootly, 'f').opaque(root).opaque(Buffer.from('f'))],
      ['rename to', Proc.rename, entry(root, 'secret').opaque(rootly).opaque(Buffer.from('f'))],
      ['read', Proc.read, new XdrWriter().opaque(secret).u64(0n).u32(9)],
      ['write', Proc.write, new XdrWriter().opaque(secret).u64(0n).u32(1).u32(2).opaque(Buffer.from('y'))],
      ['truncate', Proc.create, newFile(root, 'secret', 0).bool(true)],
    ];
    for (const [what, procedure, args] of refused.slice(0, -1))
      expect(await status(procedure, args, USER), what).toBe(Status.access);
    const emptied = entry(root, 'secret').u32(0).u32(0).u32(0).u32(0).bool(true).u64(0n).u32(0).u32(0);
    expect(await status(Proc.create, emptied, USER)).toBe(Status.access);
    const setMode = (mode: number) => noAttributes(new XdrWriter().opaque(secret), mode).u32(0);
    expect(await status(Proc.setattr, setMode(0o777), USER)).toBe(Status.perm);
    const takeIt = new XdrWriter()
      .opaque(secret)
      .bool(false)
      .bool(true)
      .u32(USER)
      .u32(0)
      .u32(0)
      .u32(0)
      .u32(0)
      .u32(0);
    expect(await status(Proc.setattr, takeIt, USER)).toBe(Status.perm);
    // Nor what changes nothing: it would take set-user-ID bits away.
    const sameOwner = new XdrWriter().opaque(secret).bool(false).bool(true).u32(ROOT);
    for (let field = 0; field < 5; field++) sameOwner.u32(0);
    expect(await status(Proc.setattr, sameOwner, USER)).toBe(Status.perm);
    // A directory's parent is written in it.
    await mkdir(onHost('theirs'));
    await mkdir(onHost('inner'));
    await chown(onHost('theirs'), USER, USER);
    const theirs = await handleOf('theirs');
    const moveInner = (to: Buffer) => entry(root, 'inner').opaque(to).opaque(Buffer.from('moved'));
    expect(await status(Proc.rename, moveInner(theirs), USER)).toBe(Status.access);
    expect(await status(Proc.rename, moveInner(root), USER)).toBe(Status.ok);
    // Hard links would let them have it removed, or its owner changed, under another name.
    const again = new XdrWriter().opaque(secret).opaque(root).opaque(Buffer.from('mine'));
    expect(await status(Proc.link, again, USER)).toBe(Status.perm);
    await chmod(onHost('rootly'), 0o1777);
    expect(await status(Proc.remove, entry(rootly, 'f'), USER)).toBe(Status.perm);
    const moved = entry(rootly, 'f').opaque(root).opaque(Buffer.from('f'));
    expect(await status(Proc.rename, moved, USER)).toBe(Status.perm);
    expect(await status(Proc.create, newFile(rootly, 'own', 1), USER)).toBe(Status.ok);
    expect(await status(Proc.remove, entry(rootly, 'own'), USER)).toBe(Status.ok);
    expect(await readFile(onHost('secret'), 'utf8')).toBe('secret');
    expect(await status(Proc.setattr, setMode(0o644))).toBe(Status.ok);
    expect(await status(Proc.read, new XdrWriter().opaque(secret).u64(0n).u32(9), USER)).toBe(Status.ok);
  });

  it('gives what is made to who made it, and makes no devices', async () => {
    const kinds: [string, number, XdrWriter][] = [
      ['new-file', Proc.create, newFile(root, 'new-file', 1, 0o4640)],
      ['new-dir', Proc.mkdir, noAttributes(entry(root, 'new-dir'), 0o750)],
      ['new-link', Proc.symlink, noAttributes(entry(root, 'new-link')).opaque(Buffer.from('x'))],
      ['new-pipe', Proc.mknod, noAttributes(entry(root, 'new-pipe').u32(7), 0o620)],
    ];
    for (const [name, procedure, args] of kinds)
      expect(await status(procedure, args, USER), name).toBe(Status.ok);
    const modes = await Promise.all(
      kinds.map(([name]) => host.exec('stat', ['-c', '%a %u %g %F', onHost(name)])),
    );
    expect(modes.map((line) => line.trim())).toEqual([
      '4640 1000 1000 regular empty file',
      '750 1000 1000 directory',
      '777 1000 1000 symbolic link',
      '620 1000 1000 fifo',
    ]);
    for (const device of [3, 4]) {
      const args = noAttributes(entry(root, 'device').u32(device)).u32(1).u32(3);
      expect(await status(Proc.mknod, args)).toBe(Status.perm);
    }
    // Its group goes on to what is made in it.
    await chown(onHost('new-dir'), USER, 50);
    await chmod(onHost('new-dir'), 0o2770);
    const inside = await handleOf('new-dir');
    expect(await status(Proc.create, newFile(inside, 'f', 1, 0o2644), USER)).toBe(Status.ok);
    expect(await status(Proc.mkdir, noAttributes(entry(inside, 'd'), 0o755), USER)).toBe(Status.ok);
    const lines = ['f', 'd'].map((name) => host.exec('stat', ['-c', '%a %g', onHost('new-dir', name)]));
    expect((await Promise.all(lines)).join('')).toBe('644 50\n2755 50\n');
    // Nobody is made root by a number that says "as it is".
    for (const ids of [
      [2 ** 32 - 1, USER],
      [USER, 2 ** 32 - 1],
    ]) {
      const made = noAttributes(entry(root, 'nobodys'), 0o777);
      const reply = new XdrReader(await answer(call(NFS, Proc.mkdir, made.bytes(), ...ids)));
      expect([reply.u32(), reply.u32(), reply.u32()]).toEqual([77, 1, 1]);
    }
    // Nobody waits for who would write to a pipe.
    const pipe = await handleOf('new-pipe');
    expect(await status(Proc.read, new XdrWriter().opaque(pipe).u64(0n).u32(1))).toBe(Status.inval);
  });

  it('makes a file once for one request that comes twice', async () => {
    const exclusive = (verifier: Buffer) => entry(root, 'once').u32(2).fixed(verifier);
    const [first, second] = [randomBytes(8), randomBytes(8)];
    expect(await status(Proc.create, exclusive(first), USER)).toBe(Status.ok);
    expect(await status(Proc.create, exclusive(first), USER)).toBe(Status.ok);
    expect(await status(Proc.create, exclusive(second), USER)).toBe(Status.exist);
  });

  it('reads and writes at any place, within bounds', async () => {
    const file = await named('content', 'abcdef');
    const read = async (offset: bigint, count: number) => {
      const results = await ask(Proc.read, new XdrWriter().opaque(file).u64(offset).u32(count));
      const code = results.u32();
      if (code !== Status.ok) return code;
      results.fixed(4 + 84);
      const [length, end] = [results.u32(), results.bool()];
      const bytes = results.opaque(2 ** 20);
      expect(bytes).toHaveLength(length);
      return `${bytes} ${end}`;
    };
    const write = (offset: bigint, text: string) =>
      status(
        Proc.write,
        new XdrWriter().opaque(file).u64(offset).u32(text.length).u32(2).opaque(Buffer.from(text)),
      );
    expect(await read(2n, 2)).toBe('cd false');
    expect(await read(4n, 100)).toBe('ef true');
    expect(await read(100n, 2 ** 32 - 1)).toBe(' true');
    expect(await read(2n ** 64n - 1n, 1)).toBe(Status.fbig);
    expect(await write(3n, 'XYZ!')).toBe(Status.ok);
    expect(await write(2n ** 63n, 'x')).toBe(Status.fbig);
    expect(await write(2n ** 50n, 'x')).toBe(Status.fbig);
    const longer = entry(root, 'content')
      .u32(0)
      .u32(0)
      .u32(0)
      .u32(0)
      .bool(true)
      .u64(2n ** 60n);
    expect(await status(Proc.create, longer.u32(0).u32(0))).toBe(Status.fbig);
    expect(await readFile(onHost('content'), 'utf8')).toBe('abcXYZ!');
    const much = Buffer.alloc(256 * 1024);
    let filled: number = Status.ok;
    for (let i = 0; filled === Status.ok && i < 4 * SIZE_MB + 1; i++) {
      const at = new XdrWriter()
        .opaque(file)
        .u64(BigInt(i * much.length))
        .u32(much.length)
        .u32(2);
      filled = await status(Proc.write, at.opaque(much));
    }
    expect(filled).toBe(Status.nospc);
    await rm(onHost('content'));
  });

  it('tells of times before 1970', async () => {
    const file = await named('old');
    await host.exec('touch', ['-d', '1969-12-31T23:59:58.5Z', onHost('old')]);
    const attributes = await ask(Proc.getattr, new XdrWriter().opaque(file));
    attributes.fixed(4 + 60);
    expect([0, 1, 2, 3].map(() => attributes.u32())).toEqual(
      [0, 1].flatMap(() => [2 ** 32 - 2, 500_000_000]),
    );
  });

  it('lists a directory whole while others are removed from it', async () => {
    await mkdir(onHost('many'));
    const many = await handleOf('many');
    const names = Array.from({ length: 700 }, (_, i) => `entry-${i}-${'n'.repeat(i % 60)}`);
    for (const name of names) await writeFile(onHost('many', name), '');
    const seen: string[] = [];
    let cookie = 0n;
    for (let pages = 0, end = false; !end; pages++) {
      expect(pages).toBeLessThan(100);
      const args = new XdrWriter().opaque(many).u64(cookie).u64(0n).u32(8192);
      const reply = await ask(Proc.readdir, args);
      expect(reply.u32()).toBe(Status.ok);
      reply.fixed(4 + 84 + 8);
      while (reply.bool()) {
        const inode = reply.u64();
        const name = reply.opaque(255).toString();
        cookie = reply.u64();
        seen.push(name);
        if (name.startsWith('.')) continue;
        expect(inode).toBe((await stat(onHost('many', name), { bigint: true })).ino);
        await rm(onHost('many', name)); // as `rm -r` does
      }
      end = reply.bool();
    }
    expect(seen.toSorted()).toEqual(['.', '..', ...names].toSorted());
    const list = (from: bigint, bytes: number) =>
      status(Proc.readdir, new XdrWriter().opaque(root).u64(from).u64(0n).u32(bytes));
    for (const bytes of [0, 100, 140]) expect(await list(0n, bytes)).toBe(Status.toosmall);
    expect(await list(2n ** 64n - 1n, 4096)).toBe(Status.badcookie);
    expect(await list(2n ** 63n - 1n, 4096)).toBe(Status.ok);
  });

  it('answers anything at all, and does no harm by it', async () => {
    const file = await named('target', 'kept', { mode: 0o600 });
    await link(onHost('target'), onHost('kept'));
    const handle = fc.constantFrom(root, file, otherRoot, Buffer.alloc(24));
    const piece = fc.oneof(
      handle.map((bytes) => new XdrWriter().opaque(bytes).bytes()),
      fc.constantFrom('target', '..', 'new').map((name) => new XdrWriter().opaque(Buffer.from(name)).bytes()),
      fc
        .constantFrom(0, 1, 2, 7, 4096, 2 ** 31, 2 ** 32 - 1)
        .map((value) => new XdrWriter().u32(value).bytes()),
      fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 23 }),
        fc.constantFrom(NFS, MOUNT, 100_000),
        fc.array(piece, { maxLength: 8 }),
        async (procedure, program, pieces) => {
          const reply = new XdrReader(await answer(call(program, procedure, Buffer.concat(pieces), USER)));
          expect([reply.u32(), reply.u32(), reply.u32()]).toEqual([77, 1, 0]);
        },
      ),
      { numRuns: 600 },
    );
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 80 }), async (bytes) => {
        await answer(Buffer.from(bytes)).catch((error) => expect(error).toBeInstanceOf(XdrError));
      }),
    );
    expect(await readFile(onHost('kept'), 'utf8')).toBe('kept');
  });

  it('takes arguments that end early for none', async () => {
    const file = await named('cut');
    const whole: [number, XdrWriter][] = [
      [Proc.getattr, new XdrWriter().opaque(file)],
      [Proc.setattr, noAttributes(new XdrWriter().opaque(file), 0o600).u32(0)],
      [Proc.lookup, entry(root, 'cut')],
      [Proc.access, new XdrWriter().opaque(file).u32(63)],
      [Proc.read, new XdrWriter().opaque(file).u64(0n).u32(1)],
      [Proc.write, new XdrWriter().opaque(file).u64(0n).u32(4).u32(2).opaque(Buffer.from('four'))],
      [Proc.create, newFile(root, 'never', 1)],
      [Proc.mkdir, noAttributes(entry(root, 'never'))],
      [Proc.rename, entry(root, 'cut').opaque(root).opaque(Buffer.from('never'))],
      [Proc.link, new XdrWriter().opaque(file).opaque(root).opaque(Buffer.from('never'))],
      [Proc.readdir, new XdrWriter().opaque(root).u64(0n).u64(0n).u32(4096)],
      [Proc.fsstat, new XdrWriter().opaque(root)],
    ];
    for (const [procedure, args] of whole) {
      for (let length = 0; length < args.length; length += 4) {
        const reply = new XdrReader(await answer(call(NFS, procedure, args.bytes().subarray(0, length))));
        reply.fixed(20);
        expect(reply.u32(), `${procedure} at ${length}`).toBe(GARBAGE);
      }
    }
    await expect(stat(onHost('never'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

/** Mounts an empty file system as the node makes those of volumes: with a size, and open to every user. Gives its root. */
async function mountVolume(dir: string, volumeId: string, exec: Exec): Promise<string> {
  const [image, root] = [join(dir, `${volumeId}.img`), join(dir, volumeId)];
  await writeFile(image, '');
  await truncate(image, SIZE_MB * 1024 * 1024);
  await exec('mkfs.ext4', ['-q', '-F', '-m', '0', image]);
  await mkdir(root);
  await exec('mount', ['-t', 'ext4', '-o', 'loop,nosuid,nodev', image, root]);
  await chown(root, USER, USER);
  await chmod(root, 0o777);
  await rmdir(join(root, 'lost+found'));
  return root;
}
