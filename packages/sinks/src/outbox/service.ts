import type { ServiceImpl } from '@connectrpc/connect';
import type { outboxProto } from '@islet/contracts';
import type { Outbox } from './outbox.ts';
import { toResponse } from './wire.ts';

/** Lets the control plane read a node's outbox. */
export function outboxService(outbox: Outbox): ServiceImpl<typeof outboxProto.Outbox> {
  return {
    async *readNotes({ after }, { signal }) {
      for await (const batch of outbox.read(after, signal)) yield toResponse(batch);
    },
    getEnd: () => ({ position: outbox.end() }),
  };
}
