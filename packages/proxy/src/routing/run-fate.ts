import { type Route, servesTraffic } from '@islet/catalog';
import type { RunId } from '../upstream/run.ts';

/** What has become of a run of a sandbox. */
export type RunFate =
  | 'running'
  /** The sandbox goes on elsewhere, or is about to: the same request can be sent there. */
  | 'moved'
  | 'over';

/** @param route of the sandbox, as it is now */
export function runFate({ executionId }: Pick<RunId, 'executionId'>, route: Route | undefined): RunFate {
  if (!route) return 'over';
  if (route.moving) return 'moved';
  if (!servesTraffic(route)) return 'over';
  return route.executionId === executionId ? 'running' : 'moved';
}
