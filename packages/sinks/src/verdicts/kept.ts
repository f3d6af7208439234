import type { EgressVerdict } from '@islet/contracts';
import { decoded, filtered, page, parseBody, sharedSubject } from '../history/rows.ts';
import type { Shelf } from '../history/shelf.ts';
import type { VerdictStore } from './verdicts.ts';

const DAYS = 7;

export const sameVerdict = (a: string, b: string): boolean => a === b;

/** Verdicts on disk. */
export function createKeptVerdicts(shelf: Shelf): VerdictStore {
  return {
    async write(verdicts) {
      const rows = verdicts.map((verdict) => ({
        teamId: verdict.teamId,
        subject: sharedSubject(verdict.sandboxId),
        timeMs: verdict.firstSeenMs,
        body: JSON.stringify(verdict),
      }));
      shelf.append(rows, DAYS);
    },
    async query(query) {
      const { teamId, sandboxId, startMs, endMs } = query;
      const subject = sandboxId === undefined ? undefined : sharedSubject(sandboxId);
      const range = { fromMs: startMs, toMs: endMs, order: 'descending' } as const;
      const rows = decoded(shelf.read({ teamId, subject }, range), parseBody<EgressVerdict>);
      return page(
        filtered(rows, (verdict) => sandboxId === undefined || verdict.sandboxId === sandboxId),
        query,
      );
    },
  };
}
