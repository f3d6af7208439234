import { readTelemetrySettings, SIGNALS } from './settings.ts';

export interface TelemetryOptions {
  /** What the process is called unless `OTEL_SERVICE_NAME` says otherwise. */
  service: string;
  /** Sets it apart from all other processes of the service; the same after a restart. */
  instanceId: string;
  version: string;
  /** Whether figures are to be had from `metricsText`. */
  answersScrapes: boolean;
}

/** What a process tells of itself to its operator's tools. Disposed of, it has sent what it could within some seconds. */
export interface Telemetry extends AsyncDisposable {
  /** Sends lines of the log; undefined if nobody takes them. */
  takeLogLine: ((line: string) => void) | undefined;
  /** Whether anybody asks for figures. */
  isMeasured: boolean;
  /** Has the figures of another thread be told with those of this one. @param collect what `ThreadMeters` gave there */
  addThread(collect: () => Promise<unknown>): Disposable;
  /** All figures, in the text format of Prometheus. */
  metricsText(): Promise<string>;
  /** Has what goes wrong with sending be told; until then it is kept to itself. */
  tellProblems(tell: (message: string) => void): void;
}

/**
 * Begins to tell what this process's `OTEL_*` variables ask for. Where nothing is, nothing of OpenTelemetry's SDK is loaded.
 * @throws TelemetrySettingsError naming the variable that is wrong
 */
export async function startTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  const settings = readTelemetrySettings(process.env);
  const isWanted = options.answersScrapes || SIGNALS.some((signal) => settings.sends[signal]);
  if (!isWanted) return SILENT;
  const { openSdk } = await import('./sdk/sdk.ts');
  return openSdk(options, settings);
}

const NOTHING: Disposable = { [Symbol.dispose]: () => undefined };

const SILENT: Telemetry = {
  takeLogLine: undefined,
  isMeasured: false,
  addThread: () => NOTHING,
  metricsText: async () => '',
  tellProblems: () => undefined,
  [Symbol.asyncDispose]: async () => undefined,
};

/** The figures of a thread, for the main one to tell. */
export interface ThreadMeters {
  /** All figures now, as plain values. */
  collect(): Promise<unknown>;
}

/** Has this thread's instruments keep figures. */
export async function openThreadMeters(): Promise<ThreadMeters> {
  const { openThread } = await import('./sdk/thread.ts');
  return openThread();
}
