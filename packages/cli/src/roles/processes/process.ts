import { rm } from 'node:fs/promises';
import { Undo } from '@islet/contracts';
import { createLogger, type Logger, type Telemetry } from '@islet/telemetry';
import type { Instance } from '../../host/instance.ts';
import type { PortWish } from '../../host/ports.ts';
import { answerPromptlyOnAllThreads, favourSession } from '../../host/promptness.ts';
import { loadSecrets, type Secrets } from '../../host/secrets.ts';
import type { Layout } from '../../layout.ts';
import type { Reporter } from '../../output/reporter.ts';
import { metricsPort, type OpenedTelemetry, openTelemetry, type ProcessName } from '../../telemetry/open.ts';
import { claimHost } from '../../up/claim.ts';
import type { UpConfig } from '../../up/config.ts';
import { outliveUnexpectedErrors, type UnexpectedErrors } from '../../up/unexpected.ts';

/** What a process that serves is started with. */
export interface ProcessOptions<Config> {
  config: Config;
  layout: Layout;
  version: string;
  reporter: Reporter;
  /** Ends it: the start if it still starts, else the wait. */
  signal: AbortSignal;
  /** Unix milliseconds. */
  clock: () => number;
}

/** What every process that serves has. */
export interface ServingProcess {
  instance: Instance;
  secrets: Secrets;
  logger: Logger;
  unexpected: UnexpectedErrors;
  telemetry: Telemetry;
  /** Those that every process may have. */
  ownPorts: OpenedTelemetry['ports'];
}

/**
 * Claims the data directory and the ports, and readies the process to serve.
 * @throws StartRefused with all that is in the way
 */
export async function openProcess(
  name: ProcessName,
  config: Pick<UpConfig, 'dataDir' | 'logLevel' | 'metrics'>,
  ports: readonly PortWish[],
  undo: Undo,
): Promise<ServingProcess> {
  const claim = await claimHost(config.dataDir, [...ports, ...metricsPort(config.metrics)]);
  undo.add('the claim of the data directory', () => claim[Symbol.asyncDispose]());
  const { instance } = claim;
  undo.add('the runtime directory', () => rm(instance.runtimeDir, { recursive: true, force: true }));
  const { telemetry, ports: ownPorts } = await openTelemetry(name, instance, config.metrics, undo);
  const logger = createLogger({
    service: 'islet',
    level: config.logLevel,
    destination: { write: (line) => process.stderr.write(line) },
    copy: telemetry.takeLogLine,
  });
  telemetry.tellProblems((message) => logger.warn({ problem: message }, 'telemetry is not taken'));
  const unexpected = outliveUnexpectedErrors(logger);
  undo.add('the care for unexpected errors', () => unexpected[Symbol.dispose]());
  const secrets = await loadSecrets(instance.dataDir);
  favourSession();
  await answerPromptlyOnAllThreads();
  return { instance, secrets, logger, unexpected, telemetry, ownPorts };
}

/**
 * Starts something, waits for the signal, and takes all down again.
 * @param start what it makes is added to `undo`
 * @throws whatever kept it from starting; what had been started is stopped by then.
 */
export async function serveUntil(
  { reporter, signal }: Pick<ProcessOptions<unknown>, 'reporter' | 'signal'>,
  start: (undo: Undo) => Promise<void>,
): Promise<void> {
  await using undo = new Undo();
  try {
    await start(undo);
  } catch (error) {
    // Stopping in the middle of a start is no failure.
    if (!signal.aborted) throw error;
  }
  await aborted(signal);
  reporter.stopping(String(signal.reason));
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
