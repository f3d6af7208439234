/** A change of the schema. Each of its statements may be applied again: two control planes may do so at once. */
export interface Migration {
  version: number;
  name: string;
  statements: readonly string[];
}

const TIME = "DateTime64(9, 'UTC')";
/** When the server got a row: what expires by it does so in time, whatever the clock of a node or a sandbox says. */
const INGESTED = "ingested_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')";

interface Table {
  name: string;
  columns: readonly string[];
  /** Rows that are alike in it are one row: what is written twice is kept once. */
  key: string;
  /** Of rows that are one, the one with the greatest is kept; by itself the one that came last. */
  version?: string;
  /** The column of whose day a part of the table is. */
  day: string;
  expires: string;
}

function table({ name, columns, key, version = '', day, expires }: Table): string {
  return `CREATE TABLE IF NOT EXISTS ${name} (${columns.join(', ')})
    ENGINE = ReplacingMergeTree(${version}) PARTITION BY toDate(${day}) ORDER BY (${key}) TTL ${expires}`;
}

const inDays = (column: string, days: number | string) => `toDateTime(${column}) + toIntervalDay(${days})`;

/** What the exporter of an OpenTelemetry collector writes. Nothing is kept in it; a view takes what is ours. */
const exported = (name: string, more: readonly string[] = []) =>
  `CREATE TABLE IF NOT EXISTS ${name} (${[
    'ResourceAttributes Map(LowCardinality(String), String)',
    'ResourceSchemaUrl String',
    ...['ScopeName String', 'ScopeVersion String', 'ScopeAttributes Map(LowCardinality(String), String)'],
    ...['ScopeDroppedAttrCount UInt32', 'ScopeSchemaUrl String', 'ServiceName LowCardinality(String)'],
    ...['MetricName String', 'MetricDescription String', 'MetricUnit String'],
    'Attributes Map(LowCardinality(String), String)',
    ...[
      "StartTimeUnix DateTime64(9, 'UTC')",
      "TimeUnix DateTime64(9, 'UTC')",
      'Value Float64',
      'Flags UInt32',
    ],
    ...more,
  ].join(', ')}) ENGINE = Null`;

const view = (name: string, from: string, to: string, columns: readonly string[], prefix: string) =>
  `CREATE MATERIALIZED VIEW IF NOT EXISTS ${name} TO ${to} AS
    SELECT TimeUnix AS timestamp, ${columns.map((column) => `Attributes['${column}'] AS ${column}`).join(', ')},
      MetricName AS metric_name, Value AS value
    FROM ${from} WHERE startsWith(MetricName, '${prefix}')`;

const METRIC = [`timestamp ${TIME} CODEC(DoubleDelta, ZSTD)`, 'metric_name LowCardinality(String)'];
const VALUE = 'value Float64 CODEC(Gorilla, ZSTD)';

/** What two control planes write of one moment are two rows; one that writes its own again has written one. */
const teamTable = (name: string) =>
  table({
    name,
    columns: [...METRIC, 'team_id String', VALUE, 'row_id String'],
    key: 'team_id, metric_name, timestamp, row_id',
    ...{ day: 'timestamp', expires: inDays('timestamp', 90) },
  });

export const MIGRATIONS: readonly Migration[] = [
  {
    version: 1,
    name: 'what is kept of sandboxes and teams',
    statements: [
      table({
        name: 'sandbox_metrics_gauge',
        columns: [...METRIC, 'sandbox_id String', 'team_id String', VALUE],
        key: 'team_id, sandbox_id, metric_name, timestamp',
        ...{ day: 'timestamp', expires: inDays('timestamp', 7) },
      }),
      teamTable('team_metrics_gauge'),
      teamTable('team_metrics_sum'),
      table({
        name: 'sandbox_events',
        columns: [
          ...['id String', 'version LowCardinality(String)', 'type LowCardinality(String)'],
          `timestamp ${TIME} CODEC(Delta, ZSTD)`,
          ...['event_category LowCardinality(String)', 'event_label LowCardinality(String)'],
          'event_data String CODEC(ZSTD)',
          ...['sandbox_id String', 'sandbox_execution_id String', 'sandbox_template_id String'],
          ...['sandbox_build_id String', 'sandbox_team_id String', 'events_ttl_days UInt16 DEFAULT 7'],
          'INDEX of_sandbox sandbox_id TYPE bloom_filter GRANULARITY 1',
        ],
        key: 'sandbox_team_id, timestamp, id',
        ...{ day: 'timestamp', expires: inDays('timestamp', 'events_ttl_days') },
      }),
      table({
        name: 'sandbox_logs',
        columns: [
          ...[`timestamp ${TIME} CODEC(Delta, ZSTD)`, INGESTED, 'team_id String', 'sandbox_id String'],
          ...["template_id String DEFAULT 'unknown'", "build_id String DEFAULT 'unknown'"],
          ...[
            "service LowCardinality(String) DEFAULT 'envd'",
            "category LowCardinality(String) DEFAULT 'default'",
          ],
          ...['level LowCardinality(String)', 'message String CODEC(ZSTD)', 'raw String CODEC(ZSTD)'],
          'fields String CODEC(ZSTD)',
          // What has the same text at the same time was said once.
          'record_hash UInt64 DEFAULT sipHash64(raw)',
          // The order in which records of one moment came. The first time that a record comes counts.
          ...[
            'sequence UInt64 CODEC(Delta, ZSTD)',
            'precedence UInt64 DEFAULT bitNot(sequence) CODEC(Delta, ZSTD)',
          ],
          'INDEX in_message message TYPE ngrambf_v1(4, 4096, 3, 0) GRANULARITY 1',
        ],
        key: 'team_id, sandbox_id, timestamp, record_hash',
        version: 'precedence',
        ...{ day: 'ingested_at', expires: inDays('ingested_at', 7) },
      }),
      table({
        name: 'build_logs',
        columns: [
          ...[`timestamp ${TIME} CODEC(Delta, ZSTD)`, INGESTED, 'team_id String', 'template_id String'],
          ...['build_id String', 'position UInt64', 'level LowCardinality(String)'],
          ...['message String CODEC(ZSTD)', 'step String'],
        ],
        key: 'team_id, build_id, position',
        ...{ day: 'ingested_at', expires: inDays('ingested_at', 7) },
      }),
      table({
        name: 'sandbox_egress',
        columns: [
          ...[`first_seen ${TIME}`, `last_seen ${TIME}`, INGESTED, 'team_id String', 'sandbox_id String'],
          ...['execution_id String', 'template_id String', 'build_id String'],
          ...["sandbox_type LowCardinality(String) DEFAULT 'sandbox'", 'protocol LowCardinality(String)'],
          ...['destination_ip String', 'destination_port UInt16', 'server_name Nullable(String)'],
          ...['decision LowCardinality(String)', 'match_type LowCardinality(String)', 'connections UInt64'],
          'record_hash UInt64',
          'INDEX of_sandbox sandbox_id TYPE bloom_filter GRANULARITY 1',
        ],
        key: 'team_id, first_seen, record_hash',
        ...{ day: 'ingested_at', expires: inDays('ingested_at', 7) },
      }),
      table({
        name: 'webhook_deliveries',
        columns: [
          ...['id String', `timestamp ${TIME}`, 'team_id String', 'webhook_id String', 'event_id String'],
          ...['sandbox_id String', 'event_type LowCardinality(String)'],
          ...['delivery_status LowCardinality(String)', 'duration_ms UInt32'],
          ...['request_url String', 'request_headers String CODEC(ZSTD)', 'request_body String CODEC(ZSTD)'],
          ...['response_status Nullable(UInt16)', 'response_headers Nullable(String)'],
          ...[
            'response_body Nullable(String)',
            'error_class Nullable(String)',
            'error_message Nullable(String)',
          ],
        ],
        key: 'team_id, webhook_id, timestamp, id',
        ...{ day: 'timestamp', expires: inDays('timestamp', 7) },
      }),
      table({
        name: 'audit',
        columns: [
          ...['id String', `timestamp ${TIME}`, 'via LowCardinality(String)', 'actor LowCardinality(String)'],
          ...['team_id Nullable(String)', 'user_id Nullable(String)', 'key_id Nullable(String)'],
          ...['key_mask Nullable(String)', 'address Nullable(String)', 'method LowCardinality(String)'],
          ...['route LowCardinality(String)', 'objects Map(String, String)', 'status UInt16'],
        ],
        key: 'timestamp, id',
        ...{ day: 'timestamp', expires: inDays('timestamp', 90) },
      }),
      exported('metrics_gauge'),
      exported('metrics_sum', ['AggregationTemporality Int32', 'IsMonotonic Bool']),
      view(
        'sandbox_metrics_gauge_view',
        ...(['metrics_gauge', 'sandbox_metrics_gauge'] as const),
        ['sandbox_id', 'team_id'],
        'e2b.sandbox.',
      ),
      view('team_metrics_gauge_view', 'metrics_gauge', 'team_metrics_gauge', ['team_id'], 'e2b.team.'),
      view('team_metrics_sum_view', 'metrics_sum', 'team_metrics_sum', ['team_id'], 'e2b.team.'),
    ],
  },
  {
    version: 2,
    name: 'the rule that decided on a connection',
    statements: ['ALTER TABLE sandbox_egress ADD COLUMN IF NOT EXISTS rule Nullable(String)'],
  },
];
