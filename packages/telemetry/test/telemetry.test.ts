import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, it, vi } from 'vitest';
import {
  createLogger,
  Durations,
  inSpan,
  isMeasured,
  openGauge,
  startTelemetry,
  type Telemetry,
} from '../src/index.ts';
import { OtlpReceiver } from './otlp-receiver.ts';

function start(env: NodeJS.ProcessEnv, answersScrapes = false): Promise<Telemetry> {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  return startTelemetry({ service: 'tested', instanceId: 'one', version: '1', answersScrapes });
}

// The SDK reads the variables of the process.
afterEach(() => {
  vi.unstubAllEnvs();
});

/** Listens, and does what a receiver that is not well does with a connection. */
async function sick(onConnection: (socket: Socket) => void): Promise<{ url: string; server: Server }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    onConnection(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

it('does nothing if nothing is asked for', async () => {
  await using telemetry = await start({});
  expect(telemetry.isMeasured).toBe(false);
  expect(isMeasured()).toBe(false);
  expect(telemetry.takeLogLine).toBeUndefined();
  expect(await telemetry.metricsText()).toBe('');
});

it.each([
  ['OTEL_EXPORTER_OTLP_ENDPOINT', { OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' }],
  [
    'OTEL_EXPORTER_OTLP_PROTOCOL',
    { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4317', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
  ],
  ['OTEL_METRIC_EXPORT_INTERVAL', { OTEL_METRIC_EXPORT_INTERVAL: 'soon' }],
  [
    'OTEL_TRACES_EXPORTER',
    { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318', OTEL_TRACES_EXPORTER: 'zipkin' },
  ],
])('refuses what it cannot do, and names the variable: %s', async (name, env) => {
  await expect(start(env)).rejects.toThrow(name);
});

it('sends spans, and logs that belong to them', async () => {
  await using receiver = await OtlpReceiver.open();
  {
    await using telemetry = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url });
    const destination = { write: () => undefined };
    const logger = createLogger({ service: 'x', level: 'info', destination, copy: telemetry.takeLogLine });
    const failing = inSpan({ part: 'api', name: 'outer' }, () =>
      inSpan({ part: 'node', name: 'inner' }, async () => {
        logger.warn({ sandboxId: 'abc', headers: { authorization: 'secret' } }, 'something');
        throw new RangeError('no');
      }),
    );
    await expect(failing).rejects.toThrow('no');
  }
  const [outer] = receiver.spans.filter(({ name }) => name === 'outer');
  const [inner] = receiver.spans.filter(({ name }) => name === 'inner');
  expect(inner).toMatchObject({ parentId: outer?.spanId, attributes: { 'error.type': 'RangeError' } });
  expect(receiver.logs).toMatchObject([
    { traceId: outer?.traceId, severity: 'WARN', body: 'something', attributes: { 'sandbox.id': 'abc' } },
  ]);
  expect(JSON.stringify(receiver.logs)).not.toContain('secret');
});

it('gives figures in the format of Prometheus, with units in their names', async () => {
  await using telemetry = await start({}, true);
  new Durations({ name: 'a.duration', description: 'A' }).record(1_500, { outcome: 'success' });
  using _gauge = openGauge({
    name: 'b.size',
    description: 'B',
    unit: 'By',
    read: () => [[7, { kind: 'x' }]],
  });
  using _thread = telemetry.addThread(() => Promise.reject(new Error('it has ended')));
  const text = await telemetry.metricsText();
  expect(text).toContain('a_duration_seconds_sum{outcome="success"} 1.5\n');
  expect(text).toContain('b_size_bytes{kind="x"} 7\n');
});

it.each([
  ['hangs', () => undefined],
  ['breaks off', (socket: Socket) => socket.destroy()],
  [
    'refuses',
    (socket: Socket) =>
      socket.end('HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'),
  ],
])('is not held up by a receiver that %s, and counts what it drops', async (_, behave) => {
  const { url, server } = await sick(behave);
  try {
    const telemetry = await start(
      { OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_EXPORTER_OTLP_TIMEOUT: '300' },
      true,
    );
    // More than its queue holds.
    for (let n = 0; n < 5_000; n++) await inSpan({ part: 'api', name: 'span' }, async () => undefined);
    const text = await telemetry.metricsText();
    const [, dropped = '0'] =
      /^otel_sdk_processor_span_processed_total\{[^}]*error_type="queue_full"[^}]*\} (\d+)$/m.exec(text) ??
      [];
    const [, waiting = '0'] = /^otel_sdk_processor_span_queue_size\{[^}]*\} (\d+)$/m.exec(text) ?? [];
    expect(Number(waiting)).toBeLessThanOrEqual(2_048);
    expect(Number(dropped)).toBeGreaterThan(0);
    // It ends, however that is.
    await telemetry[Symbol.asyncDispose]();
  } finally {
    server.close();
  }
});
