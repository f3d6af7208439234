import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ExportedVolume, volumeIdBytes } from '../../packages/nfs/src/exported-volume.ts';
import { openKernelFiles, pathOf } from '../../packages/nfs/src/kernel-files.ts';
import { keyOf, volumePrograms } from '../../packages/nfs/src/programs.ts';
import { answerCall } from '../../packages/nfs/src/rpc.ts';
import { XdrError } from '../../packages/nfs/src/xdr.ts';
import type { FuzzTarget } from '../target.ts';

const VOLUME = '00000000-0000-4000-8000-000000000001';
const ID = volumeIdBytes(VOLUME);
const HANDLE_BYTES = 24;
const SIZE_BYTES = 16 * 1024 * 1024;
const MAX_REPLY_BYTES = 256 * 1024 + 1024;
/** The root's inode; numbers below it are none that a client may open, and stand for handles that were answered. */
const ROOT_INODE = 2;
const MOST_HANDLES = 16;

/**
 * Calls on a real volume: two bytes say how long the next call is. A handle of inode 16 + n stands for the nth handle that was answered, since
 * those differ from run to run.
 */
export const target: FuzzTarget = {
  description: 'the calls of a virtual machine to the server of its volumes, on a real one',
  needsRoot: true,
  maxBytes: 16 * 1024,
  async run(input) {
    volume ??= openVolume();
    const { answer, content, outside } = volume;
    empty(Buffer.from(content));
    const handles: Buffer[] = [];
    for (const call of callsIn(input)) {
      const reply = await answer(withHandles(call, handles));
      if (reply.length > MAX_REPLY_BYTES) throw new RangeError(`an answer of ${reply.length} bytes`);
      handles.push(...handlesIn(reply));
    }
    assertUntouched(outside);
  },
};

interface Volume {
  answer(call: Buffer): Promise<Buffer>;
  /** The volume's root, as this process sees it. */
  content: string;
  outside: string;
}

let volume: Volume | undefined;

function openVolume(): Volume {
  const outside = mkdtempSync(join(tmpdir(), 'islet-fuzz-'));
  const [image, mount] = [join(outside, 'image'), join(outside, 'mount')];
  writeFileSync(image, '');
  truncateSync(image, SIZE_BYTES);
  execFileSync('mkfs.ext4', ['-q', '-F', image]);
  mkdirSync(mount);
  execFileSync('mount', ['-o', 'loop,nosuid,nodev', image, mount]);
  const exported = new ExportedVolume(VOLUME, mount, openKernelFiles());
  const content = pathOf(exported.open(exported.root).descriptor);
  // It is gone with this process, however that ends.
  execFileSync('umount', ['--lazy', mount]);
  rmSync(outside, { recursive: true });
  mkdirSync('/tmp/islet-fuzz-outside', { recursive: true });
  writeFileSync('/tmp/islet-fuzz-outside/secret', SECRET);
  const programs = volumePrograms(new Map([[keyOf(VOLUME), exported]]));
  const fail = (error: unknown) => {
    throw new Error('a call failed by no fault of its client', { cause: error });
  };
  return {
    content,
    outside: '/tmp/islet-fuzz-outside',
    answer: (call) =>
      answerCall(call, programs, fail).catch((error) => {
        if (error instanceof XdrError) return Buffer.alloc(0);
        throw error;
      }),
  };
}

/** Names are any bytes, which `rm` does not take. */
function empty(dir: Buffer): void {
  for (const entry of readdirSync(dir, { encoding: 'buffer', withFileTypes: true })) {
    const path = Buffer.concat([dir, Buffer.from('/'), entry.name]);
    if (!entry.isDirectory()) unlinkSync(path);
    else {
      empty(path);
      rmdirSync(path);
    }
  }
}

const SECRET = 'islet-fuzz-secret';

function assertUntouched(outside: string): void {
  const { mode, nlink, uid } = statSync(join(outside, 'secret'));
  const isSame = readFileSync(join(outside, 'secret'), 'utf8') === SECRET && (mode & 0o7777) === 0o644;
  if (isSame && nlink === 1 && uid === 0 && readdirSync(outside).length === 1) return;
  rmSync(outside, { recursive: true });
  throw new Error('a call touched what is outside of its volume');
}

function* callsIn(input: Buffer): Generator<Buffer> {
  for (let at = 0; at + 2 <= input.length; ) {
    const length = input.readUInt16BE(at);
    yield input.subarray(at + 2, at + 2 + length);
    at += 2 + length;
  }
}

function withHandles(call: Buffer, handles: readonly Buffer[]): Buffer {
  const changed = Buffer.from(call);
  for (
    let at = call.indexOf(ID);
    at >= 0 && at + HANDLE_BYTES <= call.length;
    at = call.indexOf(ID, at + 1)
  ) {
    const handle = handles[changed.readUInt32LE(at + ID.length) - MOST_HANDLES];
    if (handle && changed.readUInt32LE(at + ID.length) !== ROOT_INODE) handle.copy(changed, at);
  }
  return changed;
}

function* handlesIn(reply: Buffer): Generator<Buffer> {
  for (
    let at = reply.indexOf(ID);
    at >= 0 && at + HANDLE_BYTES <= reply.length;
    at = reply.indexOf(ID, at + 1)
  )
    yield Buffer.from(reply.subarray(at, at + HANDLE_BYTES));
}
