import { orchestratorProto, type SandboxSample } from '@islet/contracts';
import { type EnvdMetrics, readEnvdReport } from './envd-client.ts';
import type { Journals } from './journals.ts';

/** How often each sandbox is asked, ms; clients expect samples this far apart. */
const INTERVAL_MS = 5_000;

/** Of many sandboxes each is asked less often, ms for each of them: an answer costs one some 15 ms of a CPU under gVisor. */
const SPACING_MS = 150;

/** Asked at once; the rest waits, so that hundreds of sandboxes are not all woken in the same instant. */
const ASKED_AT_ONCE = 8;

/** A sandbox that is busy misses a sample. */
const ANSWER_DEADLINE_MS = 1_000;

export interface SamplerOptions {
  sandboxes: () => readonly orchestratorProto.Sandbox[];
  record: (sample: SandboxSample) => void;
  /** Brought up to date with each sample. */
  journals: Journals;
  /** Each is told the time with the question; see `SandboxDriver`. */
  ownClock: boolean;
  now: () => number;
}

/** Starts taking samples of every running sandbox, and reading their journals, until it is closed. */
export function startSampler(options: SamplerOptions): { close(): Promise<void> } {
  const stop = new AbortController();
  let round: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  const next = () => {
    timer = setTimeout(
      () => {
        round = sampleAll(options, stop.signal).finally(() => {
          if (!stop.signal.aborted) next();
        });
      },
      Math.max(INTERVAL_MS, options.sandboxes().length * SPACING_MS),
    );
    timer.unref();
  };
  next();
  return {
    async close() {
      stop.abort();
      clearTimeout(timer);
      await round;
    },
  };
}

async function sampleAll(options: SamplerOptions, signal: AbortSignal): Promise<void> {
  const sandboxes = options.sandboxes();
  options.journals.keepOnly(new Set(sandboxes.map(({ config }) => config?.sandboxId)));
  const waiting = [...sandboxes];
  const worker = async () => {
    for (let sandbox = waiting.shift(); sandbox && !signal.aborted; sandbox = waiting.shift()) {
      await askSandbox(sandbox, options, signal);
    }
  };
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, worker));
}

async function askSandbox(
  { config, state, address }: orchestratorProto.Sandbox,
  { record, journals, ownClock, now }: SamplerOptions,
  signal: AbortSignal,
): Promise<void> {
  if (!config || state !== orchestratorProto.SandboxState.RUNNING) return;
  const { sandboxId, teamId, cpuCount } = config;
  const request = { address, deadlineMs: ANSWER_DEADLINE_MS, signal };
  const cursor = journals.cursor(sandboxId);
  const time = ownClock ? now() : undefined;
  const report = await readEnvdReport(request, cursor, config.envdAccessToken, time).catch(
    () => undefined, // the next round asks again
  );
  if (!report) return;
  record({ sandboxId, teamId, timeMs: now(), cpuCount, ...usage(report.metrics) });
  journals.take(config, report.journal);
}

function usage(metrics: EnvdMetrics) {
  return {
    cpuUsedPct: metrics.cpu_used_pct,
    memUsed: metrics.mem_used,
    memTotal: metrics.mem_total,
    memCache: metrics.mem_cache,
    diskUsed: metrics.disk_used,
    diskTotal: metrics.disk_total,
  };
}
