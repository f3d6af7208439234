import { orchestratorProto, type SandboxSample } from '@islet/contracts';
import { readEnvdMetrics } from './envd-client.ts';

/** How often each sandbox is asked, ms; clients expect samples this far apart. */
const INTERVAL_MS = 5_000;

/** Asked at once; the rest waits, so that hundreds of sandboxes are not all woken in the same instant. */
const ASKED_AT_ONCE = 8;

/** A sandbox that is busy misses a sample. */
const ANSWER_DEADLINE_MS = 1_000;

export interface SamplerOptions {
  sandboxes: () => readonly orchestratorProto.Sandbox[];
  record: (sample: SandboxSample) => void;
  now: () => number;
}

/** Starts taking samples of every running sandbox until it is closed. */
export function startSampler(options: SamplerOptions): { close(): Promise<void> } {
  const stop = new AbortController();
  let round: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  const next = () => {
    timer = setTimeout(() => {
      round = sampleAll(options, stop.signal).finally(() => {
        if (!stop.signal.aborted) next();
      });
    }, INTERVAL_MS);
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
  const waiting = [...options.sandboxes()];
  const worker = async () => {
    for (let sandbox = waiting.shift(); sandbox && !signal.aborted; sandbox = waiting.shift()) {
      const sample = await takeSample(sandbox, options.now, signal);
      if (sample) options.record(sample);
    }
  };
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, worker));
}

async function takeSample(
  sandbox: orchestratorProto.Sandbox,
  now: () => number,
  signal: AbortSignal,
): Promise<SandboxSample | undefined> {
  const { config } = sandbox;
  if (!config || sandbox.state !== orchestratorProto.SandboxState.RUNNING) return undefined;
  const request = { address: sandbox.address, deadlineMs: ANSWER_DEADLINE_MS, signal };
  const metrics = await readEnvdMetrics(request, config.envdAccessToken).catch(() => undefined); // the next round asks again
  if (!metrics) return undefined;
  return {
    sandboxId: config.sandboxId,
    teamId: config.teamId,
    timeMs: now(),
    cpuCount: config.cpuCount,
    cpuUsedPct: metrics.cpu_used_pct,
    memUsed: metrics.mem_used,
    memTotal: metrics.mem_total,
    memCache: metrics.mem_cache,
    diskUsed: metrics.disk_used,
    diskTotal: metrics.disk_total,
  };
}
