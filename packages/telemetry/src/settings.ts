/** What of telemetry leaves this process, and where figures can be asked for. */
export interface TelemetrySettings {
  /** What is sent to an OTLP endpoint. */
  sends: Record<Signal, boolean>;
  /** Unit: ms; between two times that figures are sent. */
  metricIntervalMs: number;
}

export type Signal = 'traces' | 'metrics' | 'logs';

export const SIGNALS = ['traces', 'metrics', 'logs'] as const satisfies readonly Signal[];

const METRIC_INTERVAL_MS = 15_000;

/** A variable of OpenTelemetry has a value that Islet can do nothing with. */
export class TelemetrySettingsError extends Error {
  override readonly name = 'TelemetrySettingsError';
}

/**
 * Reads OpenTelemetry's variables, as far as Islet decides by them; all others are read by its SDK. Something is sent only where an
 * endpoint is named.
 * @throws TelemetrySettingsError naming the variable that is wrong
 */
export function readTelemetrySettings(env: NodeJS.ProcessEnv): TelemetrySettings {
  const sends = { traces: false, metrics: false, logs: false };
  if (env.OTEL_SDK_DISABLED?.trim().toLowerCase() !== 'true') {
    for (const signal of SIGNALS) sends[signal] = isSent(signal, env);
  }
  return { sends, metricIntervalMs: intervalOf(env.OTEL_METRIC_EXPORT_INTERVAL) };
}

function isSent(signal: Signal, env: NodeJS.ProcessEnv): boolean {
  const [own, all] = [
    `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_ENDPOINT`,
    'OTEL_EXPORTER_OTLP_ENDPOINT',
  ] as const;
  const name = given(env, own) === undefined ? all : own;
  const endpoint = given(env, name);
  if (endpoint === undefined || !isChosen(signal, env)) return false;
  assertHttpUrl(name, endpoint);
  assertProtocol(signal, env);
  return true;
}

function isChosen(signal: Signal, env: NodeJS.ProcessEnv): boolean {
  const name = `OTEL_${signal.toUpperCase()}_EXPORTER`;
  const exporter = given(env, name) ?? 'otlp';
  if (exporter !== 'otlp' && exporter !== 'none') {
    throw new TelemetrySettingsError(`${name} must be otlp or none, not '${exporter}'`);
  }
  return exporter === 'otlp';
}

function assertHttpUrl(name: string, text: string): void {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return;
  throw new TelemetrySettingsError(`${name} must be an http or https URL, such as http://127.0.0.1:4318`);
}

function assertProtocol(signal: Signal, env: NodeJS.ProcessEnv): void {
  for (const name of [`OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_PROTOCOL`, 'OTEL_EXPORTER_OTLP_PROTOCOL']) {
    const protocol = given(env, name) ?? 'http/protobuf';
    if (protocol === 'http/protobuf') continue;
    throw new TelemetrySettingsError(
      `${name} is '${protocol}', but Islet sends http/protobuf: leave it out, and name the receiver's port for HTTP, which most often is 4318`,
    );
  }
}

function intervalOf(text: string | undefined): number {
  if (text === undefined || text === '') return METRIC_INTERVAL_MS;
  const ms = Number(text);
  if (Number.isInteger(ms) && ms >= 100 && ms <= 3_600_000) return ms;
  throw new TelemetrySettingsError('OTEL_METRIC_EXPORT_INTERVAL must be whole milliseconds, 100 to 3600000');
}

/** An empty variable is one that is not set, as OpenTelemetry has it. */
function given(env: NodeJS.ProcessEnv, name: string): string | undefined {
  return env[name]?.trim() || undefined;
}
