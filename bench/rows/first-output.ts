import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from 'e2b';
import { sdkOptions } from '../islet/sdk.ts';
import { inRounds } from '../pace/rounds.ts';
import type { Row, RowContext } from './row.ts';

/** Time in which the pool makes the sandbox that the next create takes. */
const REFILL_MS = 1_500;

/** Milliseconds from asking for a sandbox to the first byte that a command in it wrote. */
async function untilFirstOutput(context: RowContext): Promise<number> {
  const startedAt = performance.now();
  let outputAt: number | undefined;
  const sandbox = await Sandbox.create(sdkOptions(context.access));
  try {
    await sandbox.commands.run('echo ready', {
      onStdout: () => {
        outputAt ??= performance.now();
      },
    });
  } finally {
    await sandbox.kill();
  }
  if (outputAt === undefined) throw new Error('the command in the new sandbox wrote nothing');
  return outputAt - startedAt;
}

export const firstOutputRow: Row = {
  name: 'first-output',
  description: 'Sandbox.create and the first output of a command in it, through the SDK',
  async measure(context) {
    const samples: number[] = [];
    const pace = context.size === 'full' ? { rounds: 20, budgetMs: 45_000 } : { rounds: 4, budgetMs: 9_000 };
    await untilFirstOutput(context);
    await inRounds(pace, context, async () => {
      await sleep(REFILL_MS, undefined, { signal: context.signal });
      samples.push(await untilFirstOutput(context));
    });
    return [
      {
        row: 'first-output',
        what: "create → first command's output, one kept ready",
        unit: 'ms',
        samples,
        targets: [{ kind: 'at-most', of: 'p50', value: 80 }],
      },
    ];
  },
};
