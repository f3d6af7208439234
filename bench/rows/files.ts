import { envdToken } from '../islet/api.ts';
import { addressOf, ENVD_PORT, withSandbox } from '../islet/sdk.ts';
import { type Goal, straightTo, throughEdge, withHeaders } from '../load/goal.ts';
import { measureDownload, measureUpload } from '../load/transfer.ts';
import { inTurns } from '../pace/rounds.ts';
import type { Measurement, Target } from '../report/measurement.ts';
import type { Row } from './row.ts';

const SIZE = 100_000_000;
const FILE = '/files?path=/home/user/transfer.bin&username=user';
const TARGETS: readonly Target[] = [{ kind: 'ratio-at-least', value: 0.7 }];

async function upload(goal: Goal): Promise<number> {
  const headers = { 'Content-Type': 'application/octet-stream' };
  const { rate } = await measureUpload(goal, { method: 'POST', path: FILE, size: SIZE, headers });
  return rate / 1e6;
}

async function download(goal: Goal): Promise<number> {
  return (await measureDownload(goal, FILE, SIZE)) / 1e6;
}

export const filesRow: Row = {
  name: 'files',
  description: 'a file of 100 MB up and down through the edge, against straight to envd',
  measure: (context) =>
    withSandbox(context.access, async (sandbox) => {
      const { access } = context;
      const token = { 'X-Access-Token': await envdToken(access, sandbox.sandboxId) };
      const straight = withHeaders(straightTo(await addressOf(sandbox), ENVD_PORT), token);
      const edge = withHeaders(throughEdge(access.sandboxUrl, sandbox.sandboxId, ENVD_PORT), token);
      const pace = context.size === 'full' ? { rounds: 6, budgetMs: 30_000 } : { rounds: 1, budgetMs: 4_000 };
      const measurements: Measurement[] = [];
      for (const [what, measure] of [
        ['up', upload],
        ['down', download],
      ] as const) {
        const [samples, direct] = await inTurns(pace, context, [
          () => measure(edge),
          () => measure(straight),
        ]);
        const baseline = { what: 'straight', samples: direct };
        measurements.push({
          row: 'files',
          what: `100 MB ${what}`,
          unit: 'MB/s',
          samples,
          baseline,
          targets: TARGETS,
        });
      }
      return measurements;
    }),
};
