import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Sandbox, Template } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';
import { freePorts } from '../setup/processes.ts';
import { MetricsStore } from './servers.ts';

const DASHBOARDS = resolve(import.meta.dirname, '../../deploy/grafana/dashboards');

interface Panel {
  title: string;
  datasource: { type: string };
  targets: { expr?: string }[];
}

/** A window that a test's few minutes fill; Grafana chooses one by the scrape interval. */
const RATE_INTERVAL = '3m';

/** Every question that a dashboard asks Prometheus. */
async function questions(): Promise<[panel: string, promql: string][]> {
  const found: [string, string][] = [];
  for (const file of await readdir(DASHBOARDS)) {
    const { title, panels } = JSON.parse(await readFile(join(DASHBOARDS, file), 'utf8')) as {
      title: string;
      panels: Panel[];
    };
    for (const { title: panel, datasource, targets } of panels) {
      if (datasource.type !== 'prometheus') continue;
      for (const { expr = '' } of targets) {
        found.push([`${title}, ${panel}`, expr.replaceAll('$__rate_interval', RATE_INTERVAL)]);
      }
    }
  }
  return found;
}

let dataDir: string;
let instance: RunningInstance | undefined;
const stores: MetricsStore[] = [];
let scraper: MetricsStore;
let victoria: MetricsStore;

/** Sends what Islet has to more than one store, by what Prometheus scrapes and what OTLP brings. */
beforeAll(async () => {
  dataDir = await newDataDir();
  const [metricsPort = 0] = await freePorts(1);
  scraper = await MetricsStore.prometheus(join(dataDir, 'prometheus'), `127.0.0.1:${metricsPort}`);
  victoria = await MetricsStore.victoria(join(dataDir, 'victoria'));
  stores.push(scraper, victoria);
  instance = await startInstance(join(dataDir, 'islet'), ['--metrics-port', String(metricsPort)], {
    env: {
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${victoria.url}/opentelemetry/v1/metrics`,
      OTEL_METRIC_EXPORT_INTERVAL: '1000',
      OTEL_SERVICE_NAME: 'islet-under-test',
    },
  });
  await use(instance);
});

afterAll(async () => {
  await instance?.stop('SIGTERM');
  for (const store of stores) await store[Symbol.asyncDispose]();
  await removeDataDir(dataDir);
});

/** Has everything happen once that figures tell of. */
async function use({ access }: RunningInstance): Promise<void> {
  const { apiKey, apiUrl, sandboxUrl } = access;
  const options = { apiKey, apiUrl, sandboxUrl };
  // A rate wants a line to have been there before it grows.
  for (let round = 0; round < 2; round++) {
    const sandbox = await Sandbox.create(options);
    expect((await sandbox.commands.run('echo hi')).stdout).toBe('hi\n');
    const snapshot = await sandbox.createSnapshot();
    const [fork] = await sandbox.fork({ timeoutMs: 300_000 });
    if (!(fork instanceof Sandbox)) throw new Error('the fork failed', { cause: fork });
    await fork.kill();
    await sandbox.pause();
    const resumed = await Sandbox.connect(sandbox.sandboxId, options);
    await resumed.kill();
    await Sandbox.deleteSnapshot(snapshot.snapshotId, options);
    const template = Template().fromTemplate('base').runCmd('true');
    await Template.build(template, `figures-${round}`, options);
  }
}

/** What is Islet's own. */
const OWN = '__name__=~".+", __name__!~"up|scrape_.*|target_info|otel_.*"';

/** The names of figures, without those of the stores and of the SDK. */
async function namesIn(store: MetricsStore): Promise<string[]> {
  const found = await store.query(`group by (__name__) ({${OWN}})`);
  return found.map(({ metric }) => metric.__name__ ?? '').sort();
}

describe('what a real run leaves', () => {
  it('is in Prometheus, which asks for it, and in VictoriaMetrics, which is sent it, under the same names', async () => {
    // Forks are counted as such.
    const creates = 'sum(orchestrator_sandbox_create_duration_seconds_count)';
    for (const store of [scraper, victoria]) {
      await expect.poll(async () => (await store.query(creates)).map(({ value }) => value)).toEqual([2]);
    }
    expect((await namesIn(scraper)).length).toBeGreaterThan(30);
    const differing = async () => {
      const [asked, sent] = [new Set(await namesIn(scraper)), new Set(await namesIn(victoria))];
      return [...asked, ...sent].filter((name) => !asked.has(name) || !sent.has(name));
    };
    await expect.poll(differing).toEqual([]);
  });

  it('has no ids in its labels', async () => {
    const found = await scraper.query('{job="scraped"}');
    const labels = new Set(found.flatMap(({ metric }) => Object.keys(metric)));
    expect([...labels].filter((label) => /sandbox|team|template|execution|trace/.test(label))).toEqual([]);
  });

  it('answers every panel of every dashboard', async () => {
    const asked = await questions();
    expect(asked.length).toBeGreaterThan(30);
    for (const [panel, promql] of asked) {
      await expect
        .poll(async () => (await scraper.query(promql)).filter(({ value }) => !Number.isNaN(value)), {
          message: `${panel}: ${promql}`,
        })
        .not.toEqual([]);
    }
  });
});
