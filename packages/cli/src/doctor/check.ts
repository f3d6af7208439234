export type CheckStatus = 'ok' | 'warning' | 'failed';

/** What one check found. */
export interface CheckResult {
  /** Stable, for programs. */
  id: string;
  title: string;
  status: CheckStatus;
  /** What was seen, in one line. */
  detail: string;
  /** Why it is not ok. */
  cause?: string;
  /** What to do about it: a command where one does. */
  fix?: string;
}

/** A check that passed. */
export function ok(id: string, title: string, detail: string): CheckResult {
  return { id, title, status: 'ok', detail };
}

export interface Trouble {
  detail: string;
  cause: string;
  fix: string;
}

/** A start is possible, with a drawback. */
export function warning(id: string, title: string, trouble: Trouble): CheckResult {
  return { id, title, status: 'warning', ...trouble };
}

/** A start, or every sandbox, would fail. */
export function failed(id: string, title: string, trouble: Trouble): CheckResult {
  return { id, title, status: 'failed', ...trouble };
}
