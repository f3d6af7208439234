import { monitorEventLoopDelay } from 'node:perf_hooks';
import { openGauge } from '../meters.ts';

const NANOSECONDS = 1e9;

/** How long what is due waits for the thread that answers, and what the process holds in memory. */
export function watchLoop(): Disposable {
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const late = openGauge({
    name: 'nodejs.eventloop.delay.p99',
    description: 'Delay of the main thread since the figures were last asked for',
    unit: 's',
    read: () => {
      const seconds = delay.percentile(99) / NANOSECONDS;
      delay.reset();
      return Number.isFinite(seconds) ? seconds : 0;
    },
  });
  const memory = openGauge({
    name: 'process.memory.usage',
    description: 'Resident memory of the process, all threads together',
    unit: 'By',
    read: () => process.memoryUsage.rss(),
  });
  return {
    [Symbol.dispose]() {
      delay.disable();
      late[Symbol.dispose]();
      memory[Symbol.dispose]();
    },
  };
}
