import { create } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import {
  depthTooLow,
  fileNotNamedFirst,
  onlyChunksFollow,
  toConnectError,
  volumeMounted,
  volumesProto,
} from '@islet/contracts';
import { createOpenBeneath } from '@islet/host';
import { VolumePath } from './path.ts';
import { readFile, writeFile } from './transfer.ts';
import { type Attributes, type Entry, VolumeTree } from './tree.ts';
import type { Volumes } from './volumes.ts';

const { EntrySchema, EntryType, ReadFileResponseSchema } = volumesProto;

export interface VolumeUse {
  /** The sandbox, running or paused, that mounts a volume; undefined if none does. */
  mountedBy(volumeId: string): string | undefined;
}

/** The Connect service over the node's volumes. */
export function volumesService(volumes: Volumes, use: VolumeUse): ServiceImpl<typeof volumesProto.Volumes> {
  const openBeneath = createOpenBeneath();

  const inVolume = <T>(volumeId: string, work: (tree: VolumeTree) => Promise<T>): Promise<T> =>
    answer(() => volumes.use(volumeId, (dir) => work(new VolumeTree(dir, openBeneath))));

  return {
    createVolume: ({ volumeId, sizeMb }) =>
      answer(async () => {
        await volumes.create(volumeId, sizeMb);
        return {};
      }),
    deleteVolume: ({ volumeId }) =>
      answer(async () => {
        const sandboxId = use.mountedBy(volumeId);
        if (sandboxId !== undefined) {
          throw volumeMounted(sandboxId);
        }
        await volumes.remove(volumeId);
        return {};
      }),
    getEntry: ({ volumeId, path }) =>
      inVolume(volumeId, async (tree) => ({ entry: toProto(await tree.stat(VolumePath.parse(path))) })),
    listDirectory: ({ volumeId, path, depth }) =>
      inVolume(volumeId, async (tree) => {
        if (depth < 1) throw depthTooLow();
        return { entries: (await tree.list(VolumePath.parse(path), depth)).map(toProto) };
      }),
    makeDirectory: ({ volumeId, path, attributes, force }) =>
      inVolume(volumeId, async (tree) => ({
        entry: toProto(await tree.makeDirectory(VolumePath.parse(path), fromProto(attributes), force)),
      })),
    setAttributes: ({ volumeId, path, attributes }) =>
      inVolume(volumeId, async (tree) => ({
        entry: toProto(await tree.setAttributes(VolumePath.parse(path), fromProto(attributes))),
      })),
    removeEntry: ({ volumeId, path }) =>
      inVolume(volumeId, async (tree) => {
        await tree.remove(VolumePath.parse(path));
        return {};
      }),
    async *readFile({ volumeId, path }) {
      const dir = await answer(() => volumes.acquire(volumeId));
      try {
        for await (const part of readFile(new VolumeTree(dir, openBeneath), VolumePath.parse(path))) {
          const message =
            part instanceof Uint8Array
              ? ({ case: 'chunk', value: part } as const)
              : ({ case: 'entry', value: toProto(part) } as const);
          yield create(ReadFileResponseSchema, { message });
        }
      } catch (error) {
        throw toConnectError(error);
      } finally {
        volumes.release(volumeId);
      }
    },
    writeFile: (messages) =>
      answer(async () => {
        const parts = messages[Symbol.asyncIterator]();
        const first = await parts.next();
        if (first.done || first.value.message.case !== 'start') {
          throw fileNotNamedFirst();
        }
        const { volumeId, path, attributes, ...options } = first.value.message.value;
        return inVolume(volumeId, async (tree) => ({
          entry: toProto(
            await writeFile(tree, VolumePath.parse(path), fromProto(attributes), options, chunksOf(parts)),
          ),
        }));
      }),
  };
}

async function* chunksOf(messages: AsyncIterator<volumesProto.WriteFileRequest>): AsyncGenerator<Uint8Array> {
  for (let next = await messages.next(); !next.done; next = await messages.next()) {
    const { message } = next.value;
    if (message.case !== 'chunk') throw onlyChunksFollow();
    yield message.value;
  }
}

async function answer<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toConnectError(error);
  }
}

function fromProto(attributes: volumesProto.Attributes | undefined): Attributes {
  return { uid: attributes?.uid, gid: attributes?.gid, mode: attributes?.mode };
}

const PERMISSIONS = 0o7777;

function toProto({ path, stats, target }: Entry): volumesProto.Entry {
  return create(EntrySchema, {
    name: path.name,
    type: typeOf(stats),
    path: String(path),
    size: stats.size,
    mode: stats.mode & PERMISSIONS,
    uid: stats.uid,
    gid: stats.gid,
    accessedAtMs: stats.atimeMs,
    modifiedAtMs: stats.mtimeMs,
    changedAtMs: stats.ctimeMs,
    ...(target === undefined ? {} : { target }),
  });
}

function typeOf(stats: Entry['stats']): volumesProto.EntryType {
  if (stats.isFile()) return EntryType.FILE;
  if (stats.isDirectory()) return EntryType.DIRECTORY;
  if (stats.isSymbolicLink()) return EntryType.SYMLINK;
  return EntryType.UNSPECIFIED;
}
