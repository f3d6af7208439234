import { ControlPlaneUnderTest } from '../islet/simulated-control-plane.ts';
import { inRounds } from '../pace/rounds.ts';
import { timed } from '../pace/timed.ts';
import type { Measurement } from '../report/measurement.ts';
import type { Row } from './row.ts';

const FEW = 10;
const MANY = 10_000;
const CALLS_A_ROUND = 10;

const CALLS = {
  list: (plane: ControlPlaneUnderTest) => plane.list(FEW),
  get: (plane: ControlPlaneUnderTest) => plane.get(),
  create: (plane: ControlPlaneUnderTest) => plane.create(),
} as const;

export const controlPlaneRow: Row = {
  name: 'control-plane',
  description: `list, get and create with ${MANY} sandboxes of a simulated node known, against the same with ${FEW}`,
  async measure(context) {
    const pace = context.size === 'full' ? { rounds: 40, budgetMs: 60_000 } : { rounds: 5, budgetMs: 6_000 };
    await using few = await ControlPlaneUnderTest.open(FEW);
    await using many = await ControlPlaneUnderTest.open(MANY);
    const measurements: Measurement[] = [];
    for (const [name, call] of Object.entries(CALLS)) {
      const samples = new Map<ControlPlaneUnderTest, number[]>([
        [many, []],
        [few, []],
      ]);
      for (const plane of samples.keys()) await call(plane);
      await inRounds(pace, context, async () => {
        for (const [plane, times] of samples) {
          for (let count = 0; count < CALLS_A_ROUND; count++) times.push(await timed(() => call(plane)));
        }
      });
      measurements.push({
        row: 'control-plane',
        what: `${name}, ${MANY} known`,
        unit: 'ms',
        samples: samples.get(many) ?? [],
        baseline: { what: `${FEW} known`, samples: samples.get(few) ?? [] },
        targets: [{ kind: 'ratio-at-most', value: 2 }],
      });
    }
    return measurements;
  },
};
