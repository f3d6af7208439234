import * as common from '@grafana/grafana-foundation-sdk/common';
import { PanelBuilder as LogsPanel } from '@grafana/grafana-foundation-sdk/logs';
import { DataqueryBuilder as LokiQuery } from '@grafana/grafana-foundation-sdk/loki';
import { DataqueryBuilder as PrometheusQuery } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatPanel } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TablePanel } from '@grafana/grafana-foundation-sdk/table';
import { DataqueryBuilder as TempoQuery } from '@grafana/grafana-foundation-sdk/tempo';
import { PanelBuilder as TimeseriesPanel } from '@grafana/grafana-foundation-sdk/timeseries';

/** The data sources as `provisioning/datasources` names them. */
export const SOURCES = {
  prometheus: { type: 'prometheus', uid: 'islet-metrics' },
  loki: { type: 'loki', uid: 'islet-logs' },
  tempo: { type: 'tempo', uid: 'islet-traces' },
} as const;

/** A line of a panel: what is asked, and how it is called. */
export interface Line {
  expr: string;
  legend: string;
}

/** Units as Grafana names them. */
export type Unit = 's' | 'bytes' | 'short' | 'reqps' | 'percentunit';

/** How something goes over time. */
export function graph(title: string, description: string, unit: Unit, lines: readonly Line[]) {
  const panel = new TimeseriesPanel()
    .title(title)
    .description(description)
    .unit(unit)
    .min(0)
    .datasource(SOURCES.prometheus)
    .legend(new common.VizLegendOptionsBuilder().showLegend(true).placement(common.LegendPlacement.Bottom));
  for (const { expr, legend } of lines) panel.withTarget(asked(expr, legend));
  return panel.height(8).span(12);
}

/** How it stands now. */
export function figure(title: string, description: string, unit: Unit, expr: string) {
  return new StatPanel()
    .title(title)
    .description(description)
    .unit(unit)
    .datasource(SOURCES.prometheus)
    .withTarget(asked(expr, title).instant())
    .height(4)
    .span(6);
}

function asked(expr: string, legend: string): PrometheusQuery {
  return new PrometheusQuery().expr(expr).legendFormat(legend);
}

/** The lines of logs that a query finds. */
export function logLines(title: string, description: string, expr: string) {
  return new LogsPanel()
    .title(title)
    .description(description)
    .datasource(SOURCES.loki)
    .withTarget(new LokiQuery().expr(expr))
    .height(10)
    .span(24);
}

/** The traces that a query finds. */
export function traces(title: string, description: string, query: string) {
  return new TablePanel()
    .title(title)
    .description(description)
    .datasource(SOURCES.tempo)
    .withTarget(new TempoQuery().queryType('traceql').query(query).limit(50))
    .height(10)
    .span(24);
}

/** Quantiles of a duration, over what is asked for in the last minutes. @param by labels that set lines apart */
export function quantiles(histogram: string, by: readonly string[] = [], where = ''): Line[] {
  const labels = ['le', ...by].join(', ');
  const names = by.map((label) => ` {{${label}}}`).join('');
  return [0.5, 0.99].map((quantile) => ({
    expr: `histogram_quantile(${quantile}, sum by (${labels}) (rate(${histogram}_bucket${where}[$__rate_interval])))`,
    legend: `p${quantile * 100}${names}`,
  }));
}
