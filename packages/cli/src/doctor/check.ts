export type CheckStatus = 'ok' | 'warning' | 'failed';

/** What doctor looks at, in the order of its report. docs/troubleshooting.md has an entry for each. */
export const FINDINGS = [
  'node',
  'kernel',
  'memory',
  'data-disk',
  'cache-disk',
  'programs',
  'capabilities',
  'namespaces',
  'user-namespaces',
  'rootless',
  'runsc',
  'microvm',
  'nftables',
  'other-firewalls',
  'denials',
  'loop-devices',
  'ip-forward',
  'cgroups',
  'pid-max',
  'ports',
  'running',
  'database',
  'keys',
  'well-known-key',
  'sandbox-names',
  'https',
  'dns',
  'internet',
] as const;

/** What a result is about. Stable, for programs. */
export type FindingId = (typeof FINDINGS)[number];

/** What one check found. */
export interface CheckResult {
  id: FindingId;
  title: string;
  status: CheckStatus;
  /** What was seen, in one line. */
  detail: string;
  /** Why it is not ok. */
  cause?: string;
  /** What to do about it: a command if one does. */
  fix?: string;
}

/** A check that passed. */
export function ok(id: FindingId, title: string, detail: string): CheckResult {
  return { id, title, status: 'ok', detail };
}

export interface Trouble {
  detail: string;
  cause: string;
  fix: string;
}

/** A start is possible, with a drawback. */
export function warning(id: FindingId, title: string, trouble: Trouble): CheckResult {
  return { id, title, status: 'warning', ...trouble };
}

/** A start, or every sandbox, would fail. */
export function failed(id: FindingId, title: string, trouble: Trouble): CheckResult {
  return { id, title, status: 'failed', ...trouble };
}
