import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createMemoryLogs, createMemoryMetrics, openJournaledLogs } from '@islet/api';
import { ArchiveInspector, createDirectoryArtifacts, UploadSignatures } from '@islet/artifacts';
import type { Certificate } from '@islet/client-proxy';
import { isLoopbackHost } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import { evaluateOtherFirewalls, probeOtherFirewalls } from '../doctor/checks/other-firewalls.ts';
import { runHost } from '../doctor/run.ts';
import { loadNodeId } from '../host/node-id.ts';
import { answerPromptlyOnAllThreads, favourSession } from '../host/promptness.ts';
import { loadSecrets } from '../host/secrets.ts';
import type { Layout } from '../layout.ts';
import type { ReadyInfo, Reporter } from '../output/reporter.ts';
import { BASE_TEMPLATE_ID, ensureBaseTemplate } from './base-template.ts';
import { openCertificate } from './certificate.ts';
import { claimHost } from './claim.ts';
import type { UpConfig } from './config.ts';
import { startControlPlane } from './control-plane.ts';
import { clientCredentials, tellWellKnown } from './credentials.ts';
import { openPreparedDatabase, startNode } from './node.ts';
import { ProxyThread } from './proxies/proxy-thread.ts';
import { Undo } from './undo.ts';
import { outliveUnexpectedErrors } from './unexpected.ts';

/** An hour of samples for each of the newest sandboxes, some 50 MB at the most. */
const METRICS_KEPT = { samplesPerSandbox: 720, sandboxes: 500 };

/** Some 100 MB at the most. */
const LOGS_KEPT = {
  recordsPerSandbox: 1_000,
  charactersPerSandbox: 1_000_000,
  totalCharacters: 50_000_000,
};

/** Uploads looked at at once: with less urgency than anything that answers, so that one core is left at least on most machines. */
const INSPECTIONS = { atOnce: 2, limitMs: 300_000 };

/** It is read at each start, in a fraction of a second. */
const LOG_FILE_BYTES = 16_000_000;

export interface UpOptions {
  config: UpConfig;
  layout: Layout;
  version: string;
  reporter: Reporter;
  /** Ends it: the start where it still starts, else the wait. */
  signal: AbortSignal;
  /** Unix milliseconds. */
  clock: () => number;
}

/**
 * Starts everything in this process, waits for `signal`, and takes it all down again.
 * @throws whatever kept it from starting; what had been started is stopped by then.
 */
export async function up(options: UpOptions): Promise<void> {
  const { reporter, signal } = options;
  await using undo = new Undo();
  try {
    reporter.ready(await start(options, undo));
  } catch (error) {
    // Stopping in the middle of a start is no failure.
    if (!signal.aborted) throw error;
  }
  await aborted(signal);
  reporter.stopping(String(signal.reason));
}

async function start(options: UpOptions, undo: Undo): Promise<ReadyInfo> {
  const { config, layout, version, reporter, signal, clock } = options;
  const startedAt = clock();
  const claim = await claimHost(config);
  undo.add('the claim of the data directory', () => claim[Symbol.asyncDispose]());
  const { instance } = claim;
  undo.add('the runtime directory', () => rm(instance.runtimeDir, { recursive: true, force: true }));
  const logger = createLogger({
    service: 'islet',
    level: config.logLevel,
    destination: { write: (line) => process.stderr.write(line) },
  });
  const unexpected = outliveUnexpectedErrors(logger);
  undo.add('the care for unexpected errors', () => unexpected[Symbol.dispose]());
  const secrets = await loadSecrets(instance.dataDir);
  signal.throwIfAborted();
  favourSession();
  await answerPromptlyOnAllThreads();

  const metrics = createMemoryMetrics(METRICS_KEPT);
  const logs = await openJournaledLogs({
    dir: join(instance.dataDir, 'logs'),
    memory: createMemoryLogs(LOGS_KEPT),
    bytesPerFile: LOG_FILE_BYTES,
    logger,
  });
  undo.add('the sandbox logs', () => logs.close());
  const signatures = new UploadSignatures(secrets.tokenSeed);
  const artifacts = createDirectoryArtifacts({ directory: join(instance.dataDir, 'artifacts'), signatures });
  const inspector = new ArchiveInspector({ program: layout.archiveInspector, ...INSPECTIONS });
  const proxies = new ProxyThread({ program: layout.proxies, logLevel: config.logLevel, logger });
  undo.add('the thread of the proxies', () => proxies[Symbol.asyncDispose]());
  const use = (certificate: Certificate) => proxies.useCertificate(certificate);
  const { certificate, trust } = await openCertificate({ config, instance, use, clock, logger });
  undo.add('the care for the certificate', () => certificate[Symbol.dispose]());
  // The two longest parts wait for different things: the database for one core, the node for the kernel.
  const starting = reporter.step('services', 'Starting the database and the node');
  const opening = openPreparedDatabase(config, instance, layout);
  // A start that its credentials forbid must leave what runs alone.
  if (!isLoopbackHost(config.host)) await opening;
  const [database, node] = await Promise.allSettled([
    opening,
    startNode({
      ...{ config, instance, layout, version, logger, artifacts, proxies },
      token: secrets.nodeToken,
      recordSample: metrics.record,
      recordLog: logs.record,
    }),
  ]);
  if (database.status === 'fulfilled') undo.add('the database', () => database.value.db.close());
  if (node.status === 'fulfilled') undo.add('the node', () => node.value[Symbol.asyncDispose]());
  if (database.status === 'rejected') throw database.reason;
  if (node.status === 'rejected') throw node.reason;
  starting.done('Database and node are up');
  const { slowness } = node.value.orchestrator;
  if (slowness !== undefined) reporter.note(slowness);
  await tellOtherFirewalls(reporter);
  signal.throwIfAborted();

  const { db, isNew, wellKnown } = database.value;
  const { shipped, orchestrator } = node.value;
  const baseBuildId = await ensureBaseTemplate(
    { db, shipped, runtime: orchestrator.templates, reporter, logger },
    signal,
  );
  orchestrator.templates.keepWarm(baseBuildId);
  await node.value.builds.resume();

  const serving = reporter.step('listen', 'Opening the API and the proxy');
  const control = await startControlPlane({
    config,
    instance,
    db,
    node: node.value,
    nodeId: await loadNodeId(instance.dataDir),
    proxies,
    certificate: certificate.first,
    secrets,
    artifacts,
    uploads: { signatures, inspector },
    metrics,
    logs,
    unexpected,
    version,
    logger,
  });
  undo.add('the control plane', () => control[Symbol.asyncDispose]());
  serving.done('API and proxy are open');
  const warning = tellWellKnown(wellKnown);
  if (warning !== undefined) reporter.note(warning);
  return {
    apiUrl: control.apiUrl,
    sandboxUrl: control.sandboxUrl,
    ...(await clientCredentials(db, instance.dataDir)),
    isFirstStart: isNew,
    domain: control.domain,
    trust,
    templateId: BASE_TEMPLATE_ID,
    dataDir: instance.dataDir,
    pid: process.pid,
    ports: { ...node.value.ports, ...control.ports },
    startedInMs: Math.round(clock() - startedAt),
  };
}

/** Its own sandboxes have to pass the firewall of Docker and others, which may not let them. */
async function tellOtherFirewalls(reporter: Reporter): Promise<void> {
  for (const { status, detail, fix } of evaluateOtherFirewalls(await probeOtherFirewalls(runHost))) {
    if (status !== 'ok') reporter.note(`Sandboxes have no internet: ${detail}. To let it through: ${fix}`);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
