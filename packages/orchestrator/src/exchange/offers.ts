import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import type { peerProto } from '@islet/contracts';
import { DamagedSnapshotError } from '@islet/driver';
import { isObjectKey, type ObjectSource, type StoredRecord } from '@islet/snapshots';
import { Gate } from '../sandbox/gate.ts';
import type { TemplateBuild } from '../templates/build.ts';
import { type MovableRecord, sharedRecordOf } from './movable.ts';
import { treesOf } from './names.ts';

/** Objects that are read for others at once, of at most some MiB each. */
const AT_ONCE = 8;

/** What others may have of this node. */
export interface Offered {
  /** A run of a sandbox that is paused, and not sent to the store from then on for a while. Undefined if there is none. */
  sandbox(sandboxId: string, executionId: string): Promise<MovableRecord | undefined>;
  build(buildId: string): TemplateBuild | undefined;
}

/** The record that a name of `names.ts` means. */
export async function offeredRecord(offered: Offered, name: string): Promise<StoredRecord | undefined> {
  const [kind, id = '', executionId = ''] = name.split('/');
  if (kind === 'builds') {
    const build = offered.build(id);
    return build && { state: build.snapshot, trees: treesOf(build.needs), content: build };
  }
  if (kind !== 'sandboxes') return undefined;
  const record = await offered.sandbox(id, executionId);
  return record && { state: record.saved, trees: treesOf(record.base), content: sharedRecordOf(record) };
}

/** Serves other nodes of the installation. */
export function peerService(objects: Pick<ObjectSource, 'get'>): ServiceImpl<typeof peerProto.Peer> {
  const gate = new Gate(AT_ONCE);
  return {
    async getObject({ key }) {
      if (!isObjectKey(key)) throw new ConnectError('that is no key of an object', Code.InvalidArgument);
      try {
        const content = await gate.run(() => objects.get(key, Number.POSITIVE_INFINITY));
        return content ? { content } : {};
      } catch (error) {
        throw new ConnectError(error instanceof Error ? error.message : String(error), codeOf(error));
      }
    },
  };
}

/** None that looks like a broken link: it would be tried again. */
function codeOf(error: unknown): Code {
  return error instanceof DamagedSnapshotError ? Code.DataLoss : Code.ResourceExhausted;
}
