import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
// What protobufjs has made of OpenTelemetry's own .proto files; the program that is tested writes by other code.
import root from 'otlp-definitions/build/src/generated/root.js';

/** A value of OTLP as plain text, whatever kind it has. */
export type Attributes = Readonly<Record<string, string>>;

export interface ReceivedSpan {
  traceId: string;
  spanId: string;
  /** Empty for one that begins a trace. */
  parentId: string;
  name: string;
  /** The instrumentation scope: `islet.api`, `islet.node` … */
  part: string;
  /** Unix ms, with fractions. */
  start: number;
  end: number;
  attributes: Attributes;
  resource: Attributes;
}

export interface ReceivedLog {
  traceId: string;
  severity: string;
  body: string;
  attributes: Attributes;
}

interface KeyValue {
  key: string;
  value: Record<string, unknown>;
}

/** What protobufjs makes, of which its package tells no types. */
interface MessageType {
  decode(bytes: Uint8Array): unknown;
  // biome-ignore lint/suspicious/noExplicitAny: its shape is in the .proto files
  toObject(message: unknown, options: object): any;
}
interface Definitions {
  trace: { v1: { ExportTraceServiceRequest: MessageType } };
  logs: { v1: { ExportLogsServiceRequest: MessageType } };
  metrics: { v1: { ExportMetricsServiceRequest: MessageType } };
}

const definitions = root as unknown as { opentelemetry: { proto: { collector: Definitions } } };
const { trace, logs, metrics } = definitions.opentelemetry.proto.collector;
const OPTIONS = { longs: String, bytes: String, arrays: true, objects: true } as const;

/** Receives OTLP over HTTP as a collector does, and keeps what it has received. */
export class OtlpReceiver implements AsyncDisposable {
  readonly spans: ReceivedSpan[] = [];
  readonly logs: ReceivedLog[] = [];
  readonly metricNames = new Set<string>();
  #waits: Promise<void> | undefined;
  readonly #server = createServer((request, response) => {
    this.#receive(request).then(
      (status) => response.writeHead(status, { 'Content-Type': 'application/x-protobuf' }).end(),
      () => response.writeHead(400).end(),
    );
  });

  static async open(): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver();
    await new Promise<void>((done) => receiver.#server.listen(0, '127.0.0.1', done));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Refuses connections, and cuts those that there are. @returns listens on the same port again */
  async goAway(): Promise<() => Promise<void>> {
    const { port } = this.#server.address() as AddressInfo;
    await this[Symbol.asyncDispose]();
    return () => new Promise((done) => this.#server.listen(port, '127.0.0.1', done));
  }

  /** Takes connections and answers nobody. @returns answers those that wait, and all others again */
  standStill(): () => void {
    let goOn = () => {};
    this.#waits = new Promise((resolve) => {
      goOn = resolve;
    });
    return goOn;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((done) => this.#server.close(done));
    this.#server.closeAllConnections();
    await closed;
  }

  async #receive(request: IncomingMessage): Promise<number> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    await this.#waits;
    const sent = Buffer.concat(chunks);
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent;
    switch (request.url) {
      case '/v1/traces':
        this.#takeSpans(body);
        return 200;
      case '/v1/logs':
        this.#takeLogs(body);
        return 200;
      case '/v1/metrics':
        this.#takeMetrics(body);
        return 200;
      default:
        return 404;
    }
  }

  #takeSpans(body: Buffer): void {
    const type = trace.v1.ExportTraceServiceRequest;
    for (const { resource, scopeSpans } of type.toObject(type.decode(body), OPTIONS).resourceSpans) {
      for (const { scope, spans } of scopeSpans) {
        for (const span of spans) {
          this.spans.push({
            traceId: hex(span.traceId),
            spanId: hex(span.spanId),
            parentId: hex(span.parentSpanId),
            name: span.name,
            part: scope.name,
            start: milliseconds(span.startTimeUnixNano),
            end: milliseconds(span.endTimeUnixNano),
            attributes: plain(span.attributes),
            resource: plain(resource.attributes),
          });
        }
      }
    }
  }

  #takeLogs(body: Buffer): void {
    const type = logs.v1.ExportLogsServiceRequest;
    for (const { scopeLogs } of type.toObject(type.decode(body), OPTIONS).resourceLogs) {
      for (const { logRecords } of scopeLogs) {
        for (const record of logRecords) {
          this.logs.push({
            traceId: hex(record.traceId),
            severity: record.severityText,
            body: record.body?.stringValue ?? '',
            attributes: plain(record.attributes),
          });
        }
      }
    }
  }

  #takeMetrics(body: Buffer): void {
    const type = metrics.v1.ExportMetricsServiceRequest;
    for (const { scopeMetrics } of type.toObject(type.decode(body), OPTIONS).resourceMetrics) {
      for (const scope of scopeMetrics) for (const { name } of scope.metrics) this.metricNames.add(name);
    }
  }
}

function hex(bytes: string | undefined): string {
  return Buffer.from(bytes ?? '', 'base64').toString('hex');
}

/** Nanoseconds as text have more digits than a number. */
function milliseconds(nanoseconds: string): number {
  return Number(BigInt(nanoseconds) / 1_000n) / 1_000;
}

function plain(attributes: readonly KeyValue[]): Attributes {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, Object.values(value).map(String).join('')]),
  );
}
