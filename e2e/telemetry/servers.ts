import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts } from '../setup/processes.ts';
import { until } from '../setup/until.ts';

/** A server of Debian's that keeps figures, with its data in a directory of the test. */
export class MetricsStore implements AsyncDisposable {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
    this.#ended = new Promise((done) => child.once('exit', done));
  }

  /** Prometheus, which asks `target` (host:port) for figures each second. Debian builds it without what takes OTLP. */
  static async prometheus(dir: string, target: string): Promise<MetricsStore> {
    const [port = 0] = await freePorts(1);
    await mkdir(dir);
    const config = join(dir, 'prometheus.yml');
    await writeFile(
      config,
      JSON.stringify({
        global: { scrape_interval: '1s', scrape_timeout: '1s' },
        scrape_configs: [{ job_name: 'scraped', static_configs: [{ targets: [target] }] }],
      }),
    );
    return MetricsStore.#start(
      'prometheus',
      [
        ...[`--config.file=${config}`, `--storage.tsdb.path=${join(dir, 'data')}`],
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      `http://127.0.0.1:${port}`,
      '/-/ready',
    );
  }

  /** VictoriaMetrics, which takes OTLP at `/opentelemetry`, and writes names as Prometheus does. */
  static async victoria(dir: string): Promise<MetricsStore> {
    const [port = 0] = await freePorts(1);
    return MetricsStore.#start(
      'victoria-metrics',
      [
        ...[`-storageDataPath=${dir}`, `-httpListenAddr=127.0.0.1:${port}`],
        ...['-opentelemetry.usePrometheusNaming', '-search.latencyOffset=0s', '-retentionPeriod=1d'],
      ],
      `http://127.0.0.1:${port}`,
      '/health',
    );
  }

  static async #start(program: string, args: string[], url: string, health: string): Promise<MetricsStore> {
    const child = spawn(program, args, { stdio: 'ignore' });
    const store = new MetricsStore(child, url);
    try {
      const ask = async () => (await fetch(`${url}${health}`)).status;
      await until(`${program} serves`, 30_000, ask, (status) => status === 200);
      return store;
    } catch (error) {
      await store[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What a question in PromQL gives now: one entry a line that it draws. @throws Error with what is wrong with the question */
  async query(promql: string): Promise<{ metric: Record<string, string>; value: number }[]> {
    const answer = await fetch(`${this.url}/api/v1/query?${new URLSearchParams({ query: promql })}`);
    const { status, error, data } = (await answer.json()) as {
      status: string;
      error?: string;
      data: { result: { metric: Record<string, string>; value: [number, string] }[] };
    };
    if (status !== 'success') throw new Error(`${promql}: ${error}`);
    return data.result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.#ended;
  }
}
