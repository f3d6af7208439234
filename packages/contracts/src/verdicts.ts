/** What became of the connections of one run of a sandbox to one destination, counted over a short time. */
export interface EgressVerdict {
  teamId: string;
  sandboxId: string;
  executionId: string;
  templateId: string;
  buildId: string;
  /** Unix milliseconds, of the first and the last of the connections. */
  firstSeenMs: number;
  lastSeenMs: number;
  protocol: 'tcp' | 'udp';
  destinationIp: string;
  /** 0 to 65535. */
  destinationPort: number;
  /** The name that was asked for, if it is known. */
  serverName?: string;
  /** Allowed is said before the connection is made: it proves none. */
  decision: 'allowed' | 'denied';
  /** The kind of rule that decided: `cidr`, `domain`, `default` … */
  matchType: string;
  /** The entry of the owner's lists that decided, as it was written; absent if none did. */
  rule?: string;
  connections: number;
}
