import type { SandboxLog, SandboxSample } from '@islet/contracts';
import { openClickHouseHistory } from '../history/clickhouse.ts';
import { openEmbeddedHistory } from '../history/embedded.ts';
import { type Amount, type History, lineAt, sampleAt, TEAM } from '../history/history.ts';
import { inRounds } from '../pace/rounds.ts';
import { timed } from '../pace/timed.ts';
import type { Measurement } from '../report/measurement.ts';
import type { Row, RowContext } from './row.ts';

/** What keeps the past, each opened with nothing in it. */
const HISTORIES: readonly (() => Promise<History>)[] = [openEmbeddedHistory, openClickHouseHistory];

const AMOUNTS: Record<RowContext['size'], Amount> = {
  full: { samples: 1_000_000, sampled: 200, lines: 10_000_000, logged: 1_000 },
  quick: { samples: 50_000, sampled: 20, lines: 200_000, logged: 100 },
};
/** As an api gets them from a node, and how many nodes it reads at once. */
const BATCH = { notes: 500, atOnce: 8 };

export const analyticsRow: Row = {
  name: 'analytics',
  description:
    'what is kept of sandboxes: rows taken a second, and questions at a million samples and ten million lines',
  async measure(context) {
    const measured: Measurement[] = [];
    for (const open of HISTORIES) {
      await using history = await open();
      measured.push(...(await written(history, context)), ...(await asked(history, context)));
    }
    return measured;
  },
};

/** Batches of all nodes are on their way at once; each node's next one comes when the one before can be read. */
async function written({ name, stores }: History, context: RowContext): Promise<Measurement[]> {
  const pace = context.size === 'full' ? { rounds: 20, budgetMs: 30_000 } : { rounds: 3, budgetMs: 5_000 };
  // Of sandboxes of its own, apart from those of the questions.
  const amount = { ...AMOUNTS[context.size], sampled: 50, logged: 50 };
  const rates: { samples: number[]; lines: number[] } = { samples: [], lines: [] };
  const count = BATCH.notes * BATCH.atOnce;
  const inBatches = async <T>(
    write: (batch: T[]) => Promise<void>,
    from: number,
    make: (index: number) => T,
  ) => {
    const notes = Array.from({ length: count }, (_, index) => make(from + index));
    const batches = Array.from({ length: BATCH.atOnce }, (_, at) =>
      notes.slice(at * BATCH.notes, (at + 1) * BATCH.notes),
    );
    return (count / (await timed(() => Promise.all(batches.map(write))))) * 1_000;
  };
  await inRounds(pace, context, async (round) => {
    const from = round * count;
    rates.samples.push(
      await inBatches(
        (batch: SandboxSample[]) => stores.samples.write(batch),
        from,
        (index) => ({
          ...sampleAt(index, amount),
          teamId: 'writers',
        }),
      ),
    );
    rates.lines.push(
      await inBatches(
        (batch: SandboxLog[]) => stores.logs.write(batch),
        from,
        (index) => ({
          ...lineAt(index, amount),
          teamId: 'writers',
        }),
      ),
    );
  });
  const row = (what: string, samples: number[]): Measurement => ({
    ...{ row: 'analytics', what: `${what} taken a second, ${name}`, unit: 'things', samples, targets: [] },
  });
  return [row('samples', rates.samples), row('lines', rates.lines)];
}

async function asked(history: History, context: RowContext): Promise<Measurement[]> {
  const { name, stores } = history;
  const amount = AMOUNTS[context.size];
  await history.fill(amount);
  const pace = context.size === 'full' ? { rounds: 30, budgetMs: 60_000 } : { rounds: 5, budgetMs: 10_000 };
  const sampled = (round: number) => `sampled${round % amount.sampled}`;
  const lines = { teamId: TEAM, limit: 1_000, direction: 'backward' } as const;
  const logged = (round: number) => `logged${(round * 7) % amount.logged}`;
  const questions: Record<string, (round: number) => Promise<unknown>> = {
    'all samples of a sandbox': (round) => stores.samples.range(TEAM, sampled(round), {}),
    'newest samples of 100 sandboxes': () =>
      stores.samples.latest(
        TEAM,
        Array.from({ length: 100 }, (_, index) => sampled(index)),
      ),
    'newest 1,000 lines of a sandbox': (round) => stores.logs.query({ ...lines, sandboxId: logged(round) }),
    'lines of a sandbox with a word': (round) =>
      stores.logs.query({ ...lines, sandboxId: logged(round), search: 'status 99' }),
  };
  const times = new Map<string, number[]>(Object.keys(questions).map((what) => [what, []]));
  for (const ask of Object.values(questions)) await ask(0);
  await inRounds(pace, context, async (round) => {
    for (const [what, ask] of Object.entries(questions)) times.get(what)?.push(await timed(() => ask(round)));
  });
  const kept = `${amount.samples.toLocaleString('en')} samples and ${amount.lines.toLocaleString('en')} lines`;
  return [...times].map(([what, samples]) => ({
    ...{ row: 'analytics', what: `${what}, ${name} with ${kept}`, unit: 'ms', samples, targets: [] },
  }));
}
