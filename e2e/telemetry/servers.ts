import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
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

  /** Prometheus, which takes OTLP at `/api/v1/otlp`, and asks `target` (host:port) for figures each second. */
  static async prometheus(dir: string, target: () => string): Promise<MetricsStore> {
    const [port = 0] = await freePorts(1);
    await mkdir(dir);
    const config = join(dir, 'prometheus.yml');
    await writeFile(
      config,
      JSON.stringify({
        global: { scrape_interval: '1s', scrape_timeout: '1s' },
        scrape_configs: [{ job_name: 'scraped', static_configs: [{ targets: [target()] }] }],
      }),
    );
    return MetricsStore.#start(
      'prometheus',
      [
        ...[`--config.file=${config}`, `--storage.tsdb.path=${join(dir, 'data')}`],
        ...[`--web.listen-address=127.0.0.1:${port}`, '--enable-feature=otlp-write-receiver'],
      ],
      `http://127.0.0.1:${port}`,
      '/-/ready',
    );
  }

  /** VictoriaMetrics, which takes OTLP at `/opentelemetry`. */
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

/** Hands what it is sent to several receivers, as a collector does. */
export class Relay implements AsyncDisposable {
  /** What receivers answered that did not take something. */
  readonly refusals: string[] = [];
  readonly #server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const headers = { 'Content-Type': request.headers['content-type'] ?? '' };
    const body = Buffer.concat(chunks);
    for (const url of this.#urls) {
      const answer = await fetch(url, { method: 'POST', headers, body });
      const text = await answer.text();
      if (!answer.ok) this.refusals.push(`${url}: ${answer.status} ${text}`);
    }
    response.end();
  });
  readonly #urls: readonly string[];

  private constructor(urls: readonly string[]) {
    this.#urls = urls;
  }

  static async open(urls: readonly string[]): Promise<Relay> {
    const relay = new Relay(urls);
    await new Promise<void>((done) => relay.#server.listen(0, '127.0.0.1', done));
    return relay;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1/metrics`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }
}
