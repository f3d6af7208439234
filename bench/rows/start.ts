import { inRounds } from '../pace/rounds.ts';
import type { Row } from './row.ts';

export const startRow: Row = {
  name: 'start',
  description: 'second start of ./islet up, from the command until it is ready',
  async measure(context) {
    const samples: number[] = [];
    const pace = context.size === 'full' ? { rounds: 3, budgetMs: 30_000 } : { rounds: 1, budgetMs: 10_000 };
    await inRounds(pace, context, async () => {
      samples.push(await context.islet.restart());
    });
    return [
      {
        row: 'start',
        what: 'second start of islet up',
        unit: 'ms',
        samples,
        targets: [{ kind: 'at-most', of: 'p50', value: 5000 }],
      },
    ];
  },
};
