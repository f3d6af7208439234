import { recordsOf } from '../../packages/nfs/src/records.ts';
import { XdrError } from '../../packages/nfs/src/xdr.ts';
import { assertSplitInvariantLater, type Outcome } from '../outcomes.ts';
import type { FuzzTarget } from '../target.ts';

const MAX_RECORD_BYTES = 8192;

export const target: FuzzTarget = {
  description: 'the stream of records that a virtual machine sends to the server of its volumes',
  async run(input) {
    await assertSplitInvariantLater(input, await read([input]), read);
  },
};

async function read(pieces: readonly Buffer[]): Promise<Outcome> {
  const values: string[] = [];
  try {
    for await (const record of recordsOf(arriving(pieces), MAX_RECORD_BYTES))
      values.push(record.toString('base64'));
    return { values, error: undefined };
  } catch (error) {
    if (!(error instanceof XdrError)) throw error;
    return { values, error: error.message };
  }
}

async function* arriving(pieces: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* pieces;
}
