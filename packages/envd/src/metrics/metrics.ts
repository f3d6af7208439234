import { readdirSync, readFileSync, statfsSync } from 'node:fs';
import { type CpuSample, parseProcessStat, parseProcStat, usedPercent } from './cpu.ts';

const MIB = 1024 * 1024;

/** What GET /metrics answers. */
export interface Metrics {
  /** Unix seconds. */
  ts: number;
  cpu_count: number;
  cpu_used_pct: number;
  mem_total: number;
  mem_used: number;
  mem_cache: number;
  mem_total_mib: number;
  mem_used_mib: number;
  disk_used: number;
  disk_total: number;
}

export interface MetricsDeps {
  /** Unix milliseconds. */
  now: () => number;
  /** Milliseconds that only go forward. */
  monotonicMs: () => number;
  cpuCount: () => number;
  /** Directory of the process file system. */
  proc: string;
}

/** Measures the sandbox from inside. CPU use is the average since the last measurement. */
export class MetricsReader {
  readonly #deps: MetricsDeps;
  #last: CpuSample;

  constructor(deps: MetricsDeps) {
    this.#deps = deps;
    this.#last = this.#sampleCpu();
  }

  /** Forgets the past: after a resume it is another machine's. */
  reset(): void {
    this.#last = this.#sampleCpu();
  }

  read(): Metrics {
    const sample = this.#sampleCpu();
    const used = usedPercent(this.#last, sample);
    this.#last = sample;
    const memory = parseMeminfo(readFileSync(`${this.#deps.proc}/meminfo`, 'utf8'));
    const disk = statfsSync('/', { bigint: true });
    return {
      ts: Math.floor(this.#deps.now() / 1000),
      cpu_count: this.#deps.cpuCount(),
      cpu_used_pct: used,
      mem_total: memory.total,
      mem_used: memory.used,
      mem_cache: memory.cache,
      mem_total_mib: Math.floor(memory.total / MIB),
      mem_used_mib: Math.floor(memory.used / MIB),
      disk_used: safeBytes((disk.blocks - disk.bavail) * disk.bsize),
      disk_total: safeBytes(disk.blocks * disk.bsize),
    };
  }

  #sampleCpu(): CpuSample {
    const fromKernel = parseProcStat(readFileSync(`${this.#deps.proc}/stat`, 'utf8'));
    return (
      fromKernel ?? {
        busySeconds: this.#processSeconds(),
        totalSeconds: (this.#deps.monotonicMs() / 1000) * this.#deps.cpuCount(),
      }
    );
  }

  /** The sum over all processes, for kernels whose /proc/stat stays at zero. */
  #processSeconds(): number {
    let seconds = 0;
    for (const name of readdirSync(this.#deps.proc)) {
      if (!/^\d+$/.test(name)) continue;
      try {
        seconds += parseProcessStat(readFileSync(`${this.#deps.proc}/${name}/stat`, 'utf8'));
      } catch {
        // It ended meanwhile: its parent carries its time.
      }
    }
    return seconds;
  }
}

/** Bytes of memory from /proc/meminfo. */
export function parseMeminfo(text: string): { total: number; used: number; cache: number } {
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0) * 1024;
  const total = bytes('MemTotal');
  const cache = bytes('Cached') + bytes('SReclaimable');
  return { total, used: Math.max(0, total - bytes('MemFree') - bytes('Buffers') - cache), cache };
}

/** gVisor reports file systems of 2^63 bytes, more than a JSON reader may take as an integer. */
function safeBytes(bytes: bigint): number {
  return Number(bytes > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : bytes);
}
