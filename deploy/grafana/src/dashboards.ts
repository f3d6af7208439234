import { DashboardBuilder, TextBoxVariableBuilder } from '@grafana/grafana-foundation-sdk/dashboard';
import { figure, graph, logLines, quantiles, traces } from './panels.ts';

function dashboard(uid: string, title: string, description: string): DashboardBuilder {
  return new DashboardBuilder(`Islet: ${title}`)
    .uid(`islet-${uid}`)
    .description(description)
    .tags(['islet'])
    .refresh('30s')
    .time({ from: 'now-3h', to: 'now' })
    .timezone('browser')
    .readonly();
}

const rate = (counter: string, by = '') =>
  `sum ${by === '' ? '' : `by (${by}) `}(rate(${counter}[$__rate_interval]))`;

const overview = () =>
  dashboard('overview', 'overview', 'Whether Islet does well, at a glance')
    .withPanel(
      figure('Sandboxes running', 'Over all nodes', 'short', 'sum(orchestrator_env_sandbox_running)'),
    )
    .withPanel(
      figure('Nodes ready', 'As the APIs see them', 'short', 'max(api_orchestrator_status{status="ready"})'),
    )
    .withPanel(figure('Places free', 'Network slots left', 'short', 'sum(orchestrator_places_free)'))
    .withPanel(
      figure(
        'Left behind',
        'What could not be freed',
        'short',
        'sum(orchestrator_leaked_resources_total) or vector(0)',
      ),
    )
    .withPanel(
      graph('Requests to the API', 'By status', 'reqps', [
        {
          expr: rate('http_server_duration_seconds_count', 'http_response_status_code'),
          legend: '{{http_response_status_code}}',
        },
      ]),
    )
    .withPanel(
      graph(
        'Creates',
        'From the request to its answer',
        's',
        quantiles(
          'http_server_duration_seconds',
          [],
          '{http_request_method="POST", http_route=~"/v2/sandboxes|/sandboxes"}',
        ),
      ),
    )
    .withPanel(
      graph('Main thread late by', 'Above 0.1 s everybody waits', 's', [
        { expr: 'max by (instance) (nodejs_eventloop_delay_p99_seconds)', legend: '{{instance}}' },
      ]),
    )
    .withPanel(
      graph('Memory of the processes', 'Resident, all threads', 'bytes', [
        { expr: 'max by (instance) (process_memory_usage_bytes)', legend: '{{instance}}' },
      ]),
    );

const createLatency = () =>
  dashboard('create', 'create latency', 'Where the time of a create goes')
    .withPanel(
      graph('On the node', 'Whole creates', 's', quantiles('orchestrator_sandbox_create_duration_seconds')),
    )
    .withPanel(
      graph('Started from', 'A machine kept ready takes 10 ms, a snapshot some 200', 'reqps', [
        { expr: rate('orchestrator_sandbox_starts_total', 'from'), legend: '{{from}}' },
      ]),
    )
    .withPanel(graph('Driver', 'Its steps', 's', quantiles('orchestrator_driver_duration_seconds', ['step'])))
    .withPanel(
      graph(
        'envd',
        'Until it has taken in who its sandbox is',
        's',
        quantiles('orchestrator_sandbox_envd_init_duration_seconds'),
      ),
    )
    .withPanel(
      graph('Waiting', 'Starts and network slots that wait for their turn', 'short', [
        { expr: 'sum by (queue) (orchestrator_queue_depth)', legend: '{{queue}}' },
      ]),
    )
    .withPanel(
      graph('Kept ready', 'Ahead of demand', 'short', [
        { expr: 'sum by (kind) (orchestrator_pool_ready)', legend: '{{kind}}' },
      ]),
    )
    .withPanel(traces('Slow creates', 'Above 250 ms', '{ name = "POST /v2/sandboxes" && duration > 250ms }'));

const nodes = () =>
  dashboard('nodes', 'nodes', 'What each node has, and has left')
    .withPanel(
      graph('Sandboxes', 'Running', 'short', [
        { expr: 'sum by (instance) (orchestrator_env_sandbox_running)', legend: '{{instance}}' },
      ]),
    )
    .withPanel(
      graph('Past their time', 'Being paused or ended', 'short', [
        { expr: 'sum by (instance) (orchestrator_evictions_running)', legend: '{{instance}}' },
      ]),
    )
    .withPanel(
      graph('CPUs given', 'As templates say', 'short', [
        { expr: 'sum by (instance) (orchestrator_sandbox_cpu_allocated)', legend: '{{instance}}' },
      ]),
    )
    .withPanel(
      graph('Memory given', 'As templates say', 'bytes', [
        { expr: 'sum by (instance) (orchestrator_sandbox_memory_allocated_bytes)', legend: '{{instance}}' },
      ]),
    )
    .withPanel(
      graph('Disk given', 'As templates say', 'bytes', [
        { expr: 'sum by (instance) (orchestrator_sandbox_disk_allocated_bytes)', legend: '{{instance}}' },
      ]),
    )
    .withPanel(
      graph('Places free', 'Network slots left', 'short', [
        { expr: 'sum by (instance) (orchestrator_places_free)', legend: '{{instance}}' },
      ]),
    )
    .withPanel(
      graph('Creates by node', 'Carried out', 'reqps', [
        { expr: rate('api_orchestrator_sandbox_create_success_total', 'node'), legend: '{{node}}' },
      ]),
    )
    .withPanel(graph('Pauses', 'On the node', 's', quantiles('orchestrator_sandbox_pause_duration_seconds')))
    .withPanel(
      graph('Resumes', 'On the node', 's', quantiles('orchestrator_sandbox_resume_duration_seconds')),
    )
    .withPanel(
      graph('Forks', 'All sandboxes of each', 's', quantiles('orchestrator_sandbox_fork_duration_seconds')),
    )
    .withPanel(
      graph('Snapshots', 'On the node', 's', quantiles('orchestrator_sandbox_snapshot_duration_seconds')),
    );

const team = () =>
  dashboard('team', 'sandboxes of a team', 'Figures have no team in them: this reads traces and logs')
    .withVariable(new TextBoxVariableBuilder('team').label('Team id'))
    .withVariable(new TextBoxVariableBuilder('sandbox').label('Sandbox id'))
    .withPanel(traces('Requests of the team', 'To the API', '{ span.team.id = "$team" }'))
    .withPanel(traces('Around a sandbox', 'All that was done with it', '{ span.sandbox.id = "$sandbox" }'))
    .withPanel(
      logLines(
        'What Islet says of the sandbox',
        "Of its operator's log",
        '{service_name=~"islet.*"} | sandbox_id = `$sandbox`',
      ),
    );

const builds = () =>
  dashboard('builds', 'builds', 'Builds of templates')
    .withPanel(
      graph('Ended', 'By how', 'reqps', [
        { expr: rate('template_build_result_total', 'result'), legend: '{{result}}' },
      ]),
    )
    .withPanel(
      graph('Under way', 'As the APIs follow them', 'short', [
        { expr: 'max(api_env_build_running)', legend: 'builds' },
      ]),
    )
    .withPanel(
      graph(
        'Whole builds',
        'By how they ended',
        's',
        quantiles('template_build_duration_seconds', ['result']),
      ),
    )
    .withPanel(
      graph(
        'Parts',
        'Where the time goes',
        's',
        quantiles('template_build_phase_duration_seconds', ['phase']),
      ),
    )
    .withPanel(graph('Steps', 'By kind', 's', quantiles('template_build_step_duration_seconds', ['step'])))
    .withPanel(
      graph('Root file systems', 'On the disk', 'bytes', quantiles('template_build_rootfs_size_bytes')),
    )
    .withPanel(
      graph('From the cache', 'Share of steps', 'percentunit', [
        {
          expr: 'sum(rate(template_build_cache_result_total{result="hit"}[$__rate_interval]) or vector(0)) / sum(rate(template_build_cache_result_total[$__rate_interval]))',
          legend: 'hits',
        },
      ]),
    );

const edge = () =>
  dashboard('edge', 'edge', 'The way into sandboxes')
    .withPanel(
      graph('Answers', "By the sandboxes' statuses", 'reqps', [
        { expr: rate('client_proxy_proxy_request_duration_seconds_count', 'status'), legend: '{{status}}' },
      ]),
    )
    .withPanel(
      graph(
        'Latency',
        "To the head of the sandbox's answer",
        's',
        quantiles('client_proxy_proxy_request_duration_seconds'),
      ),
    )
    .withPanel(
      graph(
        'Held for',
        'Until the end of the answer, WebSockets too',
        's',
        quantiles('client_proxy_proxy_connection_duration_seconds'),
      ),
    )
    .withPanel(
      graph('Connections of clients', 'Open', 'short', [
        { expr: 'sum by (instance) (client_proxy_proxy_server_connections_open)', legend: '{{instance}}' },
      ]),
    )
    .withPanel(
      graph('Connections to sandboxes', 'Open', 'short', [
        { expr: 'sum by (instance) (client_proxy_proxy_pool_connections_open)', legend: '{{instance}}' },
      ]),
    )
    .withPanel(
      graph('Places free', 'Requests that could still begin', 'short', [
        { expr: 'sum by (instance) (client_proxy_proxy_places_free)', legend: '{{instance}}' },
      ]),
    );

const failures = () =>
  dashboard('failures', 'failures', 'What went wrong, and what was lost of what was told')
    .withPanel(
      graph('Answers with 5xx', 'By route', 'reqps', [
        {
          expr: 'sum by (http_route) (rate(http_server_duration_seconds_count{http_response_status_code=~"5.."}[$__rate_interval])) or vector(0)',
          legend: '{{http_route}}',
        },
      ]),
    )
    .withPanel(
      graph('Failed creates', 'By node', 'reqps', [
        {
          expr: 'sum by (node) (rate(api_orchestrator_sandbox_create_failure_total[$__rate_interval])) or vector(0)',
          legend: '{{node}}',
        },
      ]),
    )
    .withPanel(
      graph('Sandboxes ended', 'By why', 'reqps', [
        { expr: rate('orchestrator_sandbox_killed_total', 'kill_reason'), legend: '{{kill_reason}}' },
      ]),
    )
    .withPanel(
      graph('Left behind', 'What could not be freed', 'short', [
        { expr: 'sum(orchestrator_leaked_resources_total) or vector(0)', legend: 'resources' },
      ]),
    )
    .withPanel(
      graph('Telemetry dropped', 'Spans that no receiver took', 'reqps', [
        {
          expr: 'sum(rate(otel_sdk_processor_span_processed_total{error_type!=""}[$__rate_interval])) or vector(0)',
          legend: 'spans',
        },
      ]),
    )
    .withPanel(traces('Failed requests', 'With an error in them', '{ status = error }'))
    .withPanel(
      logLines('Errors', 'Of all processes', '{service_name=~"islet.*"} | severity_text =~ "ERROR|FATAL"'),
    );

/** By the names of their files. */
export const DASHBOARDS = {
  overview,
  create: createLatency,
  nodes,
  team,
  builds,
  edge,
  failures,
} as const;

/** A dashboard as Grafana reads it from a file. */
export function render(build: () => DashboardBuilder): string {
  return `${JSON.stringify(build().build(), null, 2)}\n`;
}
