import { isLoopbackHost } from '@islet/contracts';
import type { DatabaseReport } from '../../control/administration.ts';
import type { UpConfig } from '../../up/config.ts';
import { revokeCommand } from '../../up/credentials.ts';
import { type CheckResult, failed, ok, warning } from '../check.ts';

const ID = 'database';
const TITLE = 'Database';

export type DatabaseFacts =
  | { kind: 'report'; report: DatabaseReport; askedRunningInstance: boolean }
  /** There is no embedded database yet: the first start makes it. */
  | { kind: 'none'; dataDir: string }
  | { kind: 'unreachable'; where: string; errors: string[]; external: boolean };

export function evaluateDatabase(facts: DatabaseFacts): CheckResult {
  if (facts.kind === 'none') return ok(ID, TITLE, `none yet in ${facts.dataDir}; \`islet up\` makes it`);
  if (facts.kind === 'unreachable') return evaluateUnreachable(facts);
  const { report, askedRunningInstance } = facts;
  const name = report.kind === 'pglite' ? 'embedded' : 'PostgreSQL';
  const via = askedRunningInstance ? ', answered by the running Islet' : '';
  if (report.pending.length > 0) {
    return warning(ID, TITLE, {
      detail: `${name} at ${report.location} lacks the migrations ${report.pending.join(', ')}`,
      cause: 'it is older than this Islet; `islet up` migrates it when it starts',
      fix: './islet db migrate',
    });
  }
  return ok(ID, TITLE, `${name} at ${report.location}, ${report.applied.length} migrations applied${via}`);
}

function evaluateUnreachable(facts: Extract<DatabaseFacts, { kind: 'unreachable' }>): CheckResult {
  const [first = 'unknown error', ...rest] = facts.errors;
  return failed(ID, TITLE, {
    detail: `${facts.where} does not open: ${first}`,
    cause:
      rest.join('; ') ||
      (facts.external ? 'the server, the address or the password' : 'the files or a lock on them'),
    fix: facts.external
      ? 'check DATABASE_URL with: psql "$DATABASE_URL" -c "select 1"'
      : 'stop what uses it, restore it from a copy, or start afresh with another --data-dir',
  });
}

/** Whether credentials that everybody knows are good: no start is possible with them where others reach the API. */
export function evaluateWellKnown(
  facts: DatabaseFacts,
  config: Pick<UpConfig, 'host' | 'dataDir' | 'databaseUrl'>,
): CheckResult[] {
  const [id, title] = ['well-known-key', 'Well-known key'] as const;
  const good = facts.kind === 'report' ? facts.report.wellKnown : undefined;
  if (!good) return [];
  if (!good.apiKey && !good.accessToken)
    return [ok(id, title, 'no key or token that everybody knows is good')];
  const what = [good.apiKey && 'API key', good.accessToken && 'access token'].filter(Boolean).join(' and ');
  const trouble = {
    detail: `the well-known ${what} of local development can be used`,
    fix: revokeCommand(good, config),
  };
  return isLoopbackHost(config.host)
    ? [warning(id, title, { ...trouble, cause: 'every program and user of this machine knows it' })]
    : [failed(id, title, { ...trouble, cause: `others can reach ${config.host}, and everybody knows it` })];
}

/** One result a row that can never match, and one line where all can. */
export function evaluateKeys(facts: DatabaseFacts): CheckResult[] {
  const [id, title] = ['keys', 'Keys'] as const;
  if (facts.kind !== 'report') return [];
  const { defects } = facts.report;
  if (defects.length === 0) return [ok(id, title, 'every stored key can match')];
  return defects.map((row) => {
    const isApiKey = row.table === 'team_api_keys';
    return failed(id, title, {
      detail: `${row.table} row ${row.id} ("${row.name}") can never be used: every request with it answers 401`,
      cause: row.reason,
      fix: isApiKey
        ? `./islet keys revoke ${row.id} && ./islet keys create --team ${row.ownerId} --name '${row.name.replaceAll("'", '')}'`
        : `./islet tokens revoke ${row.id} && ./islet tokens create --name '${row.name.replaceAll("'", '')}'`,
    });
  });
}
