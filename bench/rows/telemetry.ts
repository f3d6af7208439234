import { setTimeout as sleep } from 'node:timers/promises';
import { type InstanceAccess, newDataDir, removeDataDir, startInstance } from '../../e2e/setup/instance.ts';
import { OtlpReceiver } from '../../packages/telemetry/test/otlp-receiver.ts';
import { createSandbox, killSandbox } from '../islet/api.ts';
import { inRounds } from '../pace/rounds.ts';
import type { Measurement } from '../report/measurement.ts';
import type { Row, RowContext } from './row.ts';

/** Time for Islet to make the sandbox ready that was taken. */
const REFILL_MS = 1_500;

async function create(access: InstanceAccess): Promise<number> {
  const { id, ms } = await createSandbox(access);
  await killSandbox(access, id);
  return ms;
}

/** Creates by two Islets in turns, so that whatever else the machine does meets both. */
async function measureBoth(context: RowContext, observed: InstanceAccess): Promise<Measurement> {
  const [on, off]: [number[], number[]] = [[], []];
  const full = context.size === 'full';
  for (const access of [observed, context.islet.access]) await create(access); // the first one compiles
  await inRounds({ rounds: full ? 60 : 20, budgetMs: full ? 240_000 : 60_000 }, context, async (round) => {
    await sleep(REFILL_MS);
    const turns = [
      async () => on.push(await create(observed)),
      async () => off.push(await create(context.islet.access)),
    ];
    // Who is second may find the machine busy with what the first one left.
    for (const turn of round % 2 === 0 ? turns : turns.reverse()) {
      await turn();
      await sleep(REFILL_MS / 3);
    }
  });
  return {
    ...{ row: 'telemetry', what: 'create with OTLP on', unit: 'ms', samples: on },
    baseline: { what: 'the same, off', samples: off },
    targets: [{ kind: 'ratio-at-most', value: 1.03 }],
  };
}

export const telemetryRow: Row = {
  name: 'telemetry',
  description: 'POST /sandboxes with traces, figures and logs sent to a receiver, against the same with none',
  async measure(context) {
    await using receiver = await OtlpReceiver.open();
    const dataDir = await newDataDir();
    try {
      const observed = await startInstance(dataDir, [], {
        ...{ signal: context.signal, ownProcessGroup: true },
        env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url },
      });
      try {
        const measured = await measureBoth(context, observed.access);
        if (receiver.spans.length === 0) throw new Error('no trace came: nothing was measured');
        return [measured];
      } finally {
        await observed.stop('SIGTERM');
      }
    } finally {
      await removeDataDir(dataDir);
    }
  },
};
