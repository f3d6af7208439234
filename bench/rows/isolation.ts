import { setTimeout as sleep } from 'node:timers/promises';
import { createSandbox, killSandbox } from '../islet/api.ts';
import { crowdOfForks, crowdOfIdle } from '../isolation/crowd.ts';
import { type Isolation, type Lives, live, noLives, STEPS, type Step } from '../isolation/life.ts';
import { inRounds, type Pace } from '../pace/rounds.ts';
import type { Measurement, Target, Unit } from '../report/measurement.ts';
import type { Row, RowContext } from './row.ts';

interface Measured extends Lives {
  warm: number[];
  idlePss: number[];
  forkPss: number[];
  heldPss: number[];
}

/** Time for Islet to make the sandbox ready that was taken. */
const REFILL_MS = 1_500;

/** Of a virtual machine, beside the spawn of a QEMU without a guest. */
const LIMITS_MS: Partial<Record<Step, number>> = { create: 60, pause: 50, resume: 60, fork: 60 };
const HELD_MB = 200;
const IDLE_PSS: readonly Target[] = [{ kind: 'at-most', of: 'p50', value: 40 }];

async function measureOne(context: RowContext, isolation: Isolation): Promise<Measured> {
  const { islet, size } = context;
  const pace: Pace = size === 'full' ? { rounds: 10, budgetMs: 120_000 } : { rounds: 1, budgetMs: 8_000 };
  await islet.restart(['--isolation', isolation, '--warm-memory', '0']);
  const lives = noLives();
  // The first one pays for what is read from the disk once.
  await live(islet.access, isolation, noLives());
  await inRounds(pace, context, () => live(islet.access, isolation, lives));
  const idlePss = await crowdOfIdle(islet.access);
  const forkPss = await crowdOfForks(islet.access, 0);
  const heldPss = await crowdOfForks(islet.access, HELD_MB);
  await islet.restart(['--isolation', isolation]);
  const warm: number[] = [];
  await killSandbox(islet.access, (await createSandbox(islet.access)).id);
  await inRounds(pace, context, async () => {
    await sleep(REFILL_MS);
    const { id, ms } = await createSandbox(islet.access);
    warm.push(ms);
    await killSandbox(islet.access, id);
  });
  return { ...lives, warm, idlePss, forkPss, heldPss };
}

function unitOf(step: Step): Unit {
  if (step === 'pss') return 'MB';
  return step === 'download' ? 'MB/s' : 'ms';
}

function compare({ gvisor, microvm }: Record<Isolation, Measured>): Measurement[] {
  const line = (
    what: string,
    unit: Unit,
    pick: (of: Measured) => number[],
    targets: readonly Target[] = [],
  ) => ({
    ...{ row: 'isolation', what: `${what}, microvm`, unit, targets },
    samples: pick(microvm),
    baseline: { what: 'gvisor', samples: pick(gvisor) },
  });
  const beside = Object.entries(LIMITS_MS).map(([step, value]) => ({
    ...{ row: 'isolation', what: `${STEPS[step as Step]}, microvm`, unit: 'ms' as const },
    samples: microvm[step as Step],
    baseline: { what: 'QEMU without a guest', samples: microvm.bareQemu },
    targets: [{ kind: 'at-most' as const, of: 'p50' as const, value }],
  }));
  return [
    ...beside,
    {
      ...{ row: 'isolation', what: 'fork, the original answers no packet, microvm', unit: 'ms', targets: [] },
      samples: microvm.standstill,
    },
    line('create, one kept ready', 'ms', ({ warm }) => warm),
    ...(Object.keys(STEPS) as Step[]).map((step) => line(STEPS[step], unitOf(step), (of) => of[step])),
    line('PSS each, 20 idle', 'MB', ({ idlePss }) => idlePss, IDLE_PSS),
    line('PSS each, one and its 20 forks', 'MB', ({ forkPss }) => forkPss),
    line(`PSS each, one that holds ${HELD_MB} MB and its 20 forks`, 'MB', ({ heldPss }) => heldPss),
  ];
}

/** Ends with the Islet that the other rows measure. */
export const isolationRow: Row = {
  name: 'isolation',
  description: 'the same sandbox under gVisor and as a virtual machine, side by side',
  async measure(context) {
    const gvisor = await measureOne(context, 'gvisor');
    const microvm = await measureOne(context, 'microvm');
    await context.islet.restart();
    return compare({ gvisor, microvm });
  },
};
