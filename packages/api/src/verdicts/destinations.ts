import type { EgressVerdict } from '@islet/contracts';

/** What became of all connections of a sandbox with one destination that one rule decided. */
export type DestinationVerdict = Pick<
  EgressVerdict,
  | 'protocol'
  | 'destinationIp'
  | 'destinationPort'
  | 'serverName'
  | 'decision'
  | 'matchType'
  | 'rule'
  | 'firstSeenMs'
  | 'lastSeenMs'
  | 'connections'
>;

/** Counts verdicts that say the same of the same destination together, the latest first. */
export function byDestination(verdicts: readonly EgressVerdict[]): DestinationVerdict[] {
  const found = new Map<string, DestinationVerdict>();
  for (const verdict of verdicts) {
    const { protocol, destinationIp, destinationPort, serverName, decision, matchType, rule } = verdict;
    const { firstSeenMs, lastSeenMs, connections } = verdict;
    // A name stands for its addresses, which change.
    const where = serverName ?? destinationIp;
    const key = JSON.stringify([protocol, where, destinationPort, decision, matchType, rule ?? null]);
    const before = found.get(key);
    found.set(key, {
      ...{ protocol, destinationIp, destinationPort, decision, matchType },
      ...(serverName !== undefined && { serverName }),
      ...(rule !== undefined && { rule }),
      firstSeenMs: Math.min(firstSeenMs, before?.firstSeenMs ?? firstSeenMs),
      lastSeenMs: Math.max(lastSeenMs, before?.lastSeenMs ?? lastSeenMs),
      connections: connections + (before?.connections ?? 0),
    });
  }
  return [...found.values()].sort((a, b) => b.lastSeenMs - a.lastSeenMs);
}

/** Why it was decided so, for people. */
export function reasonOf({
  decision,
  matchType,
  rule,
  serverName,
  destinationPort,
}: DestinationVerdict): string {
  const subject = serverName ?? 'the address';
  switch (matchType) {
    case 'always-denied':
      return 'no sandbox may reach this range, whatever its rules say';
    case 'domain':
      return `${rule} in allowOut allows ${subject}`;
    case 'cidr':
      return decision === 'allowed'
        ? `${rule} in allowOut allows the address`
        : `${rule} in denyOut denies it, and nothing in allowOut allows ${subject}${hint(serverName, destinationPort)}`;
    case 'dns':
      return 'names may be resolved, since allowOut has a name';
    case 'learning':
      return 'everything is allowed and recorded while the sandbox is learning';
    case 'default':
      return 'no rule is about it, and what no rule denies is allowed';
    case 'limit':
      return 'the sandbox has too many connections, or begins too many at once';
    case 'no-gateway':
      return 'the egress gateway did not run; connections fail until it does';
    default:
      return `decided by ${matchType}${rule === undefined ? '' : ` ${rule}`}`;
  }
}

/** Names are read at two ports alone, so at others they allow nothing. */
function hint(serverName: string | undefined, port: number): string {
  if (serverName !== undefined || port === 80 || port === 443) return '';
  return `; names are known at ports 80 and 443 alone: port ${port} needs an address in allowOut`;
}
