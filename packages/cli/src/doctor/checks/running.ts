import type { InstanceStatus } from '../../control/socket.ts';
import { type CheckResult, ok, warning } from '../check.ts';

const ID = 'running';
const TITLE = 'Running Islet';

/** How the Islet of the data directory does; nothing if none runs. */
export function evaluateRunning(status: InstanceStatus | undefined): CheckResult[] {
  if (!status) return [];
  const { pid, unexpectedErrors } = status;
  if (unexpectedErrors === 0) return [ok(ID, TITLE, `pid ${pid}`)];
  return [
    warning(ID, TITLE, {
      detail: `pid ${pid}, ${unexpectedErrors} unexpected errors`,
      cause: 'a fault of Islet, which went on; its log says "caught by nobody" for each',
      fix: 'report the lines of the log; start Islet again if it does not do what it should',
    }),
  ];
}
