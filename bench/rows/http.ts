import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Sandbox } from 'e2b';
import { transform } from 'esbuild';
import { addressOf, withSandbox } from '../islet/sdk.ts';
import { type Goal, straightTo, throughEdge } from '../load/goal.ts';
import { measureRequests } from '../load/requests.ts';
import { inTurns } from '../pace/rounds.ts';
import type { Measurement } from '../report/measurement.ts';
import { percentile } from '../report/statistics.ts';
import type { Row } from './row.ts';

const SOURCE = fileURLToPath(new URL('../proxy/upstream.ts', import.meta.url));
const SCRIPT = '/tmp/server.mjs';
const PORT = 8080;
const START_DEADLINE_MS = 10_000;

/** A small server in the sandbox. */
async function startServer(sandbox: Sandbox, goal: Goal, signal: AbortSignal): Promise<void> {
  const { code } = await transform(await readFile(SOURCE, 'utf8'), { loader: 'ts', format: 'esm' });
  await sandbox.files.write(SCRIPT, code);
  await sandbox.commands.run(`node ${SCRIPT} 0.0.0.0 ${PORT}`, { background: true, timeoutMs: 0 });
  const deadline = performance.now() + START_DEADLINE_MS;
  for (;;) {
    try {
      await measureRequests(goal, 1, 0);
      return;
    } catch (error) {
      if (performance.now() > deadline)
        throw new Error('the server in the sandbox does not answer', { cause: error });
      await sleep(50, undefined, { signal });
    }
  }
}

export const httpRow: Row = {
  name: 'http',
  description: 'small requests to a server in the sandbox through the edge, against straight to its address',
  measure: (context) =>
    withSandbox(context.access, async (sandbox) => {
      const straight = straightTo(await addressOf(sandbox), PORT);
      const edge = throughEdge(context.access.sandboxUrl, sandbox.sandboxId, PORT);
      await startServer(sandbox, straight, context.signal);
      const full = context.size === 'full';
      const pace = full ? { rounds: 6, budgetMs: 20_000 } : { rounds: 2, budgetMs: 4_000 };
      const ms = full ? 1500 : 400;
      const measurements: Measurement[] = [];
      for (const connections of [1, 32]) {
        const [proxied, direct] = await inTurns(pace, context, [
          () => measureRequests(edge, connections, ms),
          () => measureRequests(straight, connections, ms),
        ]);
        const many = `HTTP, ${connections} connection${connections === 1 ? '' : 's'}`;
        const latency = (results: typeof proxied) =>
          results.map(({ latencies }) => percentile(latencies, 0.5));
        const rate = (results: typeof proxied) => results.map(({ requestsPerSecond }) => requestsPerSecond);
        measurements.push(
          {
            row: 'http',
            what: `${many}: latency`,
            unit: 'ms',
            samples: latency(proxied),
            baseline: { what: 'straight', samples: latency(direct) },
            targets: [{ kind: 'added-at-most', value: 1 }],
          },
          {
            row: 'http',
            what: `${many}: requests`,
            unit: 'requests/s',
            samples: rate(proxied),
            baseline: { what: 'straight', samples: rate(direct) },
            targets: [{ kind: 'ratio-at-least', value: 0.6 }],
          },
        );
      }
      return measurements;
    }),
};
