import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { parser as logql } from '@grafana/lezer-logql';
import { parser as traceql } from '@grafana/lezer-traceql';
import type { LRParser } from '@lezer/lr';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { DASHBOARDS, render } from '../grafana/src/dashboards.ts';
import { SOURCES } from '../grafana/src/panels.ts';
import { DEPLOY } from './described.ts';

const run = promisify(execFile);
const GRAFANA = join(DEPLOY, 'grafana');
const COMPOSE = join(DEPLOY, 'compose');

interface Panel {
  title: string;
  datasource: { type: string };
  targets: { expr?: string; query?: string }[];
}

/** Whether a grammar takes all of a text. */
function isSound(parser: LRParser, text: string): boolean {
  let isError = false;
  parser.parse(text).iterate({
    enter: ({ type }) => {
      isError ||= type.isError;
    },
  });
  return !isError;
}

async function panelsOf(type: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of Object.keys(DASHBOARDS)) {
    const text = await readFile(join(GRAFANA, 'dashboards', `${name}.json`), 'utf8');
    for (const { datasource, targets } of (JSON.parse(text) as { panels: Panel[] }).panels) {
      if (datasource.type === type) found.push(...targets.flatMap(({ expr, query }) => expr ?? query ?? []));
    }
  }
  return found;
}

describe('the dashboards', () => {
  it('are what their sources say: npm run dashboards', async () => {
    expect((await readdir(join(GRAFANA, 'dashboards'))).sort()).toEqual(
      Object.keys(DASHBOARDS)
        .map((name) => `${name}.json`)
        .sort(),
    );
    for (const [name, build] of Object.entries(DASHBOARDS)) {
      expect(await readFile(join(GRAFANA, 'dashboards', `${name}.json`), 'utf8'), name).toBe(render(build));
    }
  });

  it('ask Loki and Tempo in their languages', async () => {
    const [lines, traces] = [await panelsOf('loki'), await panelsOf('tempo')];
    expect(lines.length).toBeGreaterThan(1);
    expect(traces.length).toBeGreaterThan(2);
    for (const query of lines) expect(isSound(logql, query), query).toBe(true);
    for (const query of traces) expect(isSound(traceql, query), query).toBe(true);
    // The grammars do refuse.
    expect(isSound(logql, '{a="b"} | | c')).toBe(false);
    expect(isSound(traceql, '{ name = }')).toBe(false);
  });

  it('use data sources that are provisioned', async () => {
    const file = join(GRAFANA, 'provisioning/datasources/islet.yml');
    const { datasources } = parse(await readFile(file, 'utf8')) as {
      datasources: { uid: string; type: string }[];
    };
    expect(datasources.map(({ uid, type }) => ({ uid, type }))).toEqual(
      Object.values(SOURCES).map(({ uid, type }) => ({ uid, type })),
    );
  });
});

describe('the alert rules', () => {
  it('are ones that Prometheus takes', async () => {
    const { stdout } = await run('promtool', ['check', 'rules', join(GRAFANA, 'alerts.yml')]);
    expect(stdout).toContain('SUCCESS');
  });

  it('have a runbook each', async () => {
    const { groups } = parse(await readFile(join(GRAFANA, 'alerts.yml'), 'utf8')) as {
      groups: { rules: { alert: string; annotations: { runbook_url: string } }[] }[];
    };
    const manual = await readFile(resolve(DEPLOY, '../docs/operations.md'), 'utf8');
    const headings = [...manual.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading);
    for (const { alert, annotations } of groups.flatMap(({ rules }) => rules)) {
      expect(headings).toContain(alert);
      expect(annotations.runbook_url).toBe(`docs/operations.md#${alert.toLowerCase()}`);
    }
  });
});

it('mounts what there is, in containers that know each other', async () => {
  const file = await readFile(join(COMPOSE, 'observability.yml'), 'utf8');
  const { services, volumes } = parse(file) as {
    services: Record<string, { image: string; volumes: string[]; depends_on?: string[] }>;
    volumes: Record<string, null>;
  };
  expect(Object.keys(services).sort()).toEqual(['collector', 'grafana', 'loki', 'mimir', 'tempo']);
  for (const [name, { image, volumes: mounts, depends_on = [] }] of Object.entries(services)) {
    expect(image, name).toMatch(/:\d+\.\d+\.\d+$/);
    for (const other of depends_on) expect(services).toHaveProperty(other);
    for (const [source = ''] of mounts.map((mount) => mount.split(':'))) {
      if (source.startsWith('.')) expect(existsSync(join(COMPOSE, source)), source).toBe(true);
      else expect(volumes).toHaveProperty(source);
    }
  }
  const collector = await readFile(join(COMPOSE, 'observability/collector.yml'), 'utf8');
  for (const [, host = ''] of collector.matchAll(/http:\/\/([a-z]+):/g))
    expect(services).toHaveProperty(host);
});
