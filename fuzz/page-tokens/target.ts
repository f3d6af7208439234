import { decodePageToken, encodePageToken } from '../../packages/api/src/http/paging.ts';
import { parseMetadataFilter } from '../../packages/api/src/sandboxes/metadata-filter.ts';
import { IsletError } from '../../packages/contracts/src/index.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  description: "where a client's list goes on, and what it is filtered by",
  run(input) {
    const text = input.toString('utf8');
    for (const order of ['asc', 'desc'] as const) {
      const token = allowed(() => decodePageToken(text, order));
      if (token && decodePageToken(encodePageToken(token, order), order).id !== token.id)
        throw new Error('a token that is taken names another place than its own');
    }
    const filter = allowed(() => parseMetadataFilter(text)) ?? [];
    if (filter.length > 32) throw new RangeError(`a filter of ${filter.length} pairs`);
  },
};

function allowed<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof IsletError && error.status === 400) return undefined;
    throw error;
  }
}
