import type { PortProblem } from '../../host/ports.ts';
import { type CheckResult, failed, ok } from '../check.ts';

const ID = 'ports';
const TITLE = 'Ports';

export interface PortFacts {
  ports: number[];
  problems: PortProblem[];
  /** The pid of the Islet that runs with these settings, if one does: then its ports are taken by right. */
  runningPid: number | undefined;
}

export function evaluatePorts({ ports, problems, runningPid }: PortFacts): CheckResult {
  const list = ports.filter((port) => port !== 0).join(', ');
  if (runningPid !== undefined && problems.length > 0)
    return ok(ID, TITLE, `in use by the running Islet (pid ${runningPid})`);
  if (problems.length === 0) return ok(ID, TITLE, list ? `${list} are free` : 'any free ones are taken');
  return failed(ID, TITLE, {
    detail: problems.map(({ wish }) => wish.port).join(', '),
    cause: problems.map(({ wish, reason }) => `${wish.port} (${wish.purpose}): ${reason}`).join('; '),
    fix: `stop what holds them, or choose others: ${problems.map(({ wish }) => `--${wish.flag} PORT`).join(' ')}`,
  });
}
