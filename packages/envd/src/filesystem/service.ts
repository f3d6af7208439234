import { lstatSync, statSync } from 'node:fs';
import { rm, statfs } from 'node:fs/promises';
import { posix } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import { filesystemProto } from '@islet/contracts';
import { SystemError } from '@islet/posix-spawn';
import type { Accounts } from '../accounts/account.ts';
import { keepaliveMs, rpcAccount, rpcPath } from '../rpc/request.ts';
import type { Settings } from '../settings.ts';
import type { EntryReader } from './entry.ts';
import { EventQueue } from './event-queue.ts';
import { listDirectory } from './list.ts';
import { makeDirectories } from './make-directories.ts';
import { move } from './move.ts';
import { type Change, type ChangeType, WatchTree } from './watch-tree.ts';
import type { PolledWatchers } from './watchers.ts';

const { EventType, FilesystemEventSchema } = filesystemProto;

export interface FilesystemServiceDeps {
  settings: Settings;
  accounts: Accounts;
  reader: EntryReader;
  watchers: PolledWatchers;
  randomBytes: (length: number) => Buffer;
}

/** Serves filesystem.Filesystem. Everything is done as root; the user decides paths and owners. */
export function createFilesystemService(
  deps: FilesystemServiceDeps,
): ServiceImpl<typeof filesystemProto.Filesystem> {
  const { reader, watchers } = deps;
  const pathOf = (path: string, context: HandlerContext) => {
    const account = rpcAccount(context, deps.settings, deps.accounts);
    return { account, path: rpcPath(path, account, deps.settings) };
  };

  return {
    stat(request, context) {
      const { path } = pathOf(request.path, context);
      return {
        entry: mapErrors({ ENOENT: [Code.NotFound, `file not found: ${path}`] }, () => reader.read(path)),
      };
    },

    async makeDir(request, context) {
      const { path, account } = pathOf(request.path, context);
      const existing = mapErrors({}, () => statSync(path, { throwIfNoEntry: false }));
      if (existing?.isDirectory()) {
        throw new ConnectError(`directory already exists: ${path}`, Code.AlreadyExists);
      }
      if (existing) {
        throw new ConnectError(
          `path already exists but it is not a directory: ${path}`,
          Code.InvalidArgument,
        );
      }
      return mapErrors({}, () => {
        makeDirectories(path, account);
        return { entry: reader.read(path) };
      });
    },

    async move(request, context) {
      const { path: source, account } = pathOf(request.source, context);
      const destination = rpcPath(request.destination, account, deps.settings);
      mapErrors({ ENOENT: [Code.NotFound, `source file not found: ${source}`] }, () => lstatSync(source));
      mapErrors({}, () => makeDirectories(posix.dirname(destination), account));
      try {
        await move(source, destination, `${deps.randomBytes(6).toString('hex')}.part`);
      } catch (error) {
        throw toConnectError(error, { ENOENT: [Code.NotFound, `source file not found: ${source}`] });
      }
      return mapErrors({}, () => ({ entry: reader.read(destination) }));
    },

    async listDir(request, context) {
      const { path } = pathOf(request.path, context);
      requireDirectory(path);
      try {
        const depth = request.depth || 1;
        return { entries: await listDirectory(path, { depth, reader, signal: context.signal }) };
      } catch (error) {
        throw toConnectError(error, DIRECTORY_ERRORS(path));
      }
    },

    async remove(request, context) {
      const { path } = pathOf(request.path, context);
      try {
        await rm(path, { recursive: true, force: true });
      } catch (error) {
        throw toConnectError(error, {});
      }
      return {};
    },

    async *watchDir(request, context) {
      const { path } = pathOf(request.path, context);
      await requireWatchable(path, request.allowNetworkMounts);
      const queue = new EventQueue<filesystemProto.FilesystemEvent>(keepaliveMs(context.requestHeader));
      const tree = openTree(path, request, reader, (event) => {
        if (queue.push(event)) return;
        queue.close(new ConnectError('the reader of this watch is too slow', Code.ResourceExhausted));
      });
      const abandon = () => queue.close(context.signal.reason ?? new Error('the client is gone'));
      context.signal.addEventListener('abort', abandon, { once: true });
      context.signal.addEventListener('abort', () => tree.close(), { once: true });
      if (context.signal.aborted) abandon();
      try {
        yield { event: { case: 'start', value: {} } };
        for (;;) {
          const item = await queue.next();
          if (item.type === 'closed') throw item.reason;
          if (item.type === 'keepalive') yield { event: { case: 'keepalive', value: {} } };
          else yield { event: { case: 'filesystem', value: item.event } };
        }
      } finally {
        context.signal.removeEventListener('abort', abandon);
        tree.close();
      }
    },

    async createWatcher(request, context) {
      const { path } = pathOf(request.path, context);
      await requireWatchable(path, request.allowNetworkMounts);
      if (watchers.full) {
        throw new ConnectError('too many watchers, remove some first', Code.ResourceExhausted);
      }
      return { watcherId: watchers.create((onEvent) => openTree(path, request, reader, onEvent)) };
    },

    getWatcherEvents(request) {
      const events = watchers.drain(request.watcherId);
      if (!events) throw watcherNotFound(request.watcherId);
      return { events };
    },

    removeWatcher(request) {
      if (!watchers.remove(request.watcherId)) throw watcherNotFound(request.watcherId);
      return {};
    },
  };
}

const TYPE_OF_CHANGE: Record<ChangeType, filesystemProto.EventType> = {
  create: EventType.CREATE,
  rename: EventType.RENAME,
  chmod: EventType.CHMOD,
  write: EventType.WRITE,
  remove: EventType.REMOVE,
};

function openTree(
  path: string,
  options: { recursive: boolean; includeEntry: boolean },
  reader: EntryReader,
  onEvent: (event: filesystemProto.FilesystemEvent) => void,
): WatchTree {
  const onChange = (change: Change) => {
    const entry = options.includeEntry ? entryOf(change, reader) : undefined;
    onEvent(
      create(FilesystemEventSchema, {
        name: change.name,
        type: TYPE_OF_CHANGE[change.type],
        ...(entry && { entry }),
      }),
    );
  };
  try {
    return new WatchTree(path, options.recursive, onChange);
  } catch (error) {
    if (error instanceof SystemError && (error.code === 'ENOSPC' || error.code === 'EMFILE')) {
      throw new ConnectError(`cannot watch ${path}: the limit of watches is reached`, Code.ResourceExhausted);
    }
    throw toConnectError(error, DIRECTORY_ERRORS(path));
  }
}

function entryOf(change: Change, reader: EntryReader): filesystemProto.EntryInfo | undefined {
  if (change.type === 'remove' || change.type === 'rename') return undefined;
  try {
    return reader.read(change.path);
  } catch {
    return undefined; // gone since: the event itself is still true
  }
}

/** File systems whose changes others make unseen: NFS, CIFS, SMB, SMB2, FUSE. */
const NETWORK_FILESYSTEMS = new Set([0x6969, 0xff534d42, 0x517b, 0xfe534d42, 0x65735546]);

async function requireWatchable(path: string, allowNetworkMounts: boolean): Promise<void> {
  requireDirectory(path);
  if (allowNetworkMounts) return;
  const { type } = await statfs(path);
  if (NETWORK_FILESYSTEMS.has(type >>> 0)) {
    throw new ConnectError(`cannot watch path on network filesystem: ${path}`, Code.InvalidArgument);
  }
}

function requireDirectory(path: string): void {
  const stat = mapErrors(DIRECTORY_ERRORS(path), () => statSync(path));
  if (!stat.isDirectory()) throw new ConnectError(`path is not a directory: ${path}`, Code.InvalidArgument);
}

type ErrorTable = Record<string, [Code, string]>;

const DIRECTORY_ERRORS = (path: string): ErrorTable => ({
  ENOENT: [Code.NotFound, `path not found: ${path}`],
  ENOTDIR: [Code.InvalidArgument, `path is not a directory: ${path}`],
  ELOOP: [Code.FailedPrecondition, `cyclic symlink: ${path}`],
});

/** What file system errors mean if the call says nothing more exact. */
const COMMON_ERRORS: Record<string, Code> = {
  ENOENT: Code.NotFound,
  ENOTDIR: Code.InvalidArgument,
  EISDIR: Code.InvalidArgument,
  EINVAL: Code.InvalidArgument,
  ENAMETOOLONG: Code.InvalidArgument,
  ENOTEMPTY: Code.FailedPrecondition,
  ELOOP: Code.FailedPrecondition,
  EROFS: Code.FailedPrecondition,
  ENOSPC: Code.ResourceExhausted,
  EDQUOT: Code.ResourceExhausted,
};

function mapErrors<T>(table: ErrorTable, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw toConnectError(error, table);
  }
}

function toConnectError(error: unknown, table: ErrorTable): ConnectError {
  if (error instanceof ConnectError) return error;
  const { code = '', message } = error as NodeJS.ErrnoException;
  const [connectCode, text] = table[code] ?? [COMMON_ERRORS[code] ?? Code.Internal, message];
  return new ConnectError(text, connectCode, undefined, undefined, error);
}

function watcherNotFound(id: string): ConnectError {
  return new ConnectError(`watcher with id ${id} not found`, Code.NotFound);
}
