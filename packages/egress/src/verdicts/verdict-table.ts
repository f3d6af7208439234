import type { EgressVerdict } from '@islet/contracts';
import type { Decision } from '../decision/decide.ts';
import type { GatedSandbox } from '../policy.ts';

/** One connection, or one request of it for another name. */
export interface Judged {
  name: string | undefined;
  address: string;
  port: number;
  decision: 'allowed' | 'denied';
  /**
   * As `Decision`'s. `limit`: there was no place for it. `transform`: denied, a request to a domain with a rule came on a connection
   * that had begun with another name; allowed, secrets were put into a request, which `rule` names with their versions.
   */
  matchType: Decision['matchType'] | 'limit' | 'transform';
  rule: string;
}

/** Rows of one sandbox between two collections; what is beyond them is counted without its destination. */
const MOST_ROWS = 256;
const UNKNOWN_DESTINATION = { name: undefined, address: '0.0.0.0', port: 0, rule: '' };

/** Counts what became of connections, until it is collected. */
export class VerdictTable {
  readonly #bySandbox = new Map<string, Map<string, EgressVerdict>>();
  readonly #now: () => number;

  /** @param now Unix milliseconds */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  add(sandbox: GatedSandbox, judged: Judged): void {
    const { executionId } = sandbox;
    const rows = this.#bySandbox.get(executionId) ?? new Map<string, EgressVerdict>();
    this.#bySandbox.set(executionId, rows);
    const key = keyOf(judged);
    if (rows.has(key) || rows.size < MOST_ROWS) this.#count(sandbox, rows, key, judged);
    else {
      const rest = { ...judged, ...UNKNOWN_DESTINATION };
      this.#count(sandbox, rows, keyOf(rest), rest);
    }
  }

  /** All that was counted since the last time. */
  collect(): EgressVerdict[] {
    const collected = [...this.#bySandbox.values()].flatMap((rows) => [...rows.values()]);
    this.#bySandbox.clear();
    return collected;
  }

  #count(sandbox: GatedSandbox, rows: Map<string, EgressVerdict>, key: string, judged: Judged): void {
    const now = this.#now();
    const row = rows.get(key);
    if (row) {
      row.connections++;
      row.lastSeenMs = now;
      return;
    }
    const { teamId, sandboxId, executionId, templateId, buildId } = sandbox;
    const { name, address, port, decision, matchType, rule } = judged;
    rows.set(key, {
      ...{ teamId, sandboxId, executionId, templateId, buildId },
      ...{ firstSeenMs: now, lastSeenMs: now, protocol: 'tcp', connections: 1 },
      ...{ destinationIp: address, destinationPort: port, decision, matchType },
      ...(name === undefined ? {} : { serverName: name }),
      ...(rule === '' ? {} : { rule }),
    });
  }
}

function keyOf({ name = '', address, port, decision, matchType, rule }: Judged): string {
  return [name, address, port, decision, matchType, rule].join(' ');
}
