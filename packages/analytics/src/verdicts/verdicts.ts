import { createHash } from 'node:crypto';
import type { EgressVerdict } from '@islet/contracts';
import type { VerdictStore } from '@islet/sinks';
import { type Static, Type } from 'typebox';
import { inRange, Milliseconds, rowOf, timeText } from '../rows.ts';
import type { Tables } from '../tables.ts';

const Verdict = Type.Object({
  ...{ sandboxId: Type.String(), executionId: Type.String(), templateId: Type.String() },
  ...{ buildId: Type.String(), firstSeenMs: Milliseconds, lastSeenMs: Milliseconds },
  protocol: Type.Union([Type.Literal('tcp'), Type.Literal('udp')]),
  ...{ destinationIp: Type.String(), destinationPort: Type.Integer() },
  serverName: Type.Union([Type.String(), Type.Null()]),
  decision: Type.Union([Type.Literal('allowed'), Type.Literal('denied')]),
  ...{ matchType: Type.String(), connections: Type.Integer() },
  rule: Type.Union([Type.String(), Type.Null()]),
});

/** Verdicts on connections, in ClickHouse. */
export function createVerdicts(tables: Tables): VerdictStore {
  return {
    write: (verdicts) => tables.write('sandbox_egress', verdicts.map(rowOfVerdict)),
    async query({ teamId, sandboxId, startMs, endMs, offset, limit }) {
      const conditions = [
        'team_id = {teamId:String}',
        ...(sandboxId === undefined ? [] : ['sandbox_id = {sandboxId:String}']),
        ...(startMs === undefined ? [] : ['first_seen >= fromUnixTimestamp64Milli({startMs:Int64})']),
        ...(endMs === undefined ? [] : ['first_seen <= fromUnixTimestamp64Milli({endMs:Int64})']),
      ];
      const rows = await tables.read(
        `SELECT sandbox_id AS sandboxId, execution_id AS executionId, template_id AS templateId, build_id AS buildId,
            toUnixTimestamp64Milli(first_seen) AS firstSeenMs, toUnixTimestamp64Milli(last_seen) AS lastSeenMs,
            protocol, destination_ip AS destinationIp, destination_port AS destinationPort,
            server_name AS serverName, decision, match_type AS matchType, connections, rule
          FROM sandbox_egress WHERE ${conditions.join(' AND ')}
          ORDER BY first_seen DESC, record_hash DESC LIMIT 1 BY first_seen, record_hash
          LIMIT {limit:UInt32} OFFSET {offset:UInt32}`,
        {
          ...{ teamId, offset, limit, ...(sandboxId !== undefined && { sandboxId }) },
          ...(startMs !== undefined && { startMs: inRange(startMs) }),
          ...(endMs !== undefined && { endMs: inRange(endMs) }),
        },
        Verdict,
      );
      return rows.map((row) => verdictOf(teamId, row));
    },
  };
}

function rowOfVerdict(verdict: EgressVerdict) {
  const columns = {
    ...{ first_seen: timeText(verdict.firstSeenMs), last_seen: timeText(verdict.lastSeenMs) },
    ...{ team_id: verdict.teamId, sandbox_id: verdict.sandboxId, execution_id: verdict.executionId },
    ...{ template_id: verdict.templateId, build_id: verdict.buildId, protocol: verdict.protocol },
    ...{ destination_ip: verdict.destinationIp, destination_port: verdict.destinationPort },
    ...{ server_name: verdict.serverName ?? null, decision: verdict.decision },
    ...{ match_type: verdict.matchType, connections: verdict.connections, rule: verdict.rule ?? null },
  };
  // What is the same in all is one verdict.
  const digest = createHash('sha256').update(JSON.stringify(columns)).digest();
  return rowOf(verdict.teamId, { ...columns, record_hash: digest.readBigUInt64BE().toString() });
}

function verdictOf(teamId: string, { serverName, rule, ...row }: Static<typeof Verdict>): EgressVerdict {
  return {
    ...{ teamId, ...row },
    ...(serverName !== null && { serverName }),
    ...(rule !== null && { rule }),
  };
}
