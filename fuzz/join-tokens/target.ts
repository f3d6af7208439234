import { readJoinToken, writeJoinToken } from '../../packages/cli/src/cluster/join-token.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  description: 'the word that lets a machine join a cluster, as somebody typed it',
  run(input) {
    const given = input.toString('utf8');
    // As it is, and as what the word holds: hardly any other bytes are one.
    for (const text of [given, `islet-join-${input.toString('base64url')}`]) {
      try {
        const token = readJoinToken(text);
        const again = readJoinToken(writeJoinToken(token));
        if (JSON.stringify(again) !== JSON.stringify(token)) throw new Error('it is read as another token');
        new URL(`https://${token.api}/`);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        if (given.length > 20 && error.message.includes(given)) throw new Error('the token is repeated');
      }
    }
  },
};
