import type { InstanceStatus } from '../../control/socket.ts';
import { needlessIn } from '../../host/rights.ts';
import { type CheckResult, ok, warning } from '../check.ts';

const ID = 'running';
const TITLE = 'Running Islet';

/**
 * How the Islet of the data directory does; nothing if none runs.
 * @param held capabilities of its process, as a bit set; undefined if it cannot be told
 */
export function evaluateRunning(status: InstanceStatus | undefined, held?: bigint): CheckResult[] {
  if (!status) return [];
  const { pid, unexpectedErrors } = status;
  const needless = needlessIn(held ?? 0n);
  if (needless.length > 0) {
    return [
      warning(ID, TITLE, {
        detail: `pid ${pid} has rights that it does not need: ${needless.join(', ')}`,
        cause: 'it was not started by the launcher, or the launcher found no setpriv (package util-linux)',
        fix: 'start it with ./islet up, or as the service: ./islet service install',
      }),
    ];
  }
  if (unexpectedErrors === 0) return [ok(ID, TITLE, `pid ${pid}`)];
  return [
    warning(ID, TITLE, {
      detail: `pid ${pid}, ${unexpectedErrors} unexpected errors`,
      cause: 'a fault of Islet, which went on; its log says "caught by nobody" for each',
      fix: 'report the lines of the log; start Islet again if it does not do what it should',
    }),
  ];
}
