import { setTimeout as sleep } from 'node:timers/promises';
import { OtlpReceiver } from '../../packages/telemetry/test/otlp-receiver.ts';
import { createSandbox, killSandbox } from '../islet/api.ts';
import type { Row, RowContext } from './row.ts';

/** Time for Islet to make the sandbox ready that was taken. */
const REFILL_MS = 1_500;

/** Creates, one at a time, with what Islet was started with. */
async function creates({ islet, signal }: RowContext, rounds: number): Promise<number[]> {
  const samples: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    signal.throwIfAborted();
    await sleep(REFILL_MS);
    const { id, ms } = await createSandbox(islet.access);
    // The first one compiles.
    if (round > 0) samples.push(ms);
    await killSandbox(islet.access, id);
  }
  return samples;
}

export const telemetryRow: Row = {
  name: 'telemetry',
  description: 'POST /sandboxes with traces, figures and logs sent to a receiver, against the same with none',
  async measure(context) {
    const [turns, rounds] = context.size === 'full' ? [4, 20] : [2, 6];
    const [on, off]: [number[], number[]] = [[], []];
    await using receiver = await OtlpReceiver.open();
    for (let turn = 0; turn < turns; turn++) {
      await context.islet.restart();
      off.push(...(await creates(context, rounds)));
      await context.islet.restart([], { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url });
      on.push(...(await creates(context, rounds)));
      context.progress(turn + 1, turns);
    }
    await context.islet.restart();
    if (receiver.spans.length === 0) throw new Error('no trace came: nothing was measured');
    return [
      {
        ...{ row: 'telemetry', what: 'create with OTLP on', unit: 'ms', samples: on },
        baseline: { what: 'the same, off', samples: off },
        targets: [{ kind: 'ratio-at-most', value: 1.03 }],
      },
    ];
  },
};
