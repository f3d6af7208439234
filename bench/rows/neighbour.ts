import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from 'e2b';
import { ABUSES, type Abuse, type Attacker, FLOOD_PORT, serveFloods } from '../../e2e/hostile/abuses.ts';
import { newTeam } from '../../e2e/setup/control-plane.ts';
import type { InstanceAccess } from '../../e2e/setup/instance.ts';
import { parseSmapsRollup } from '../host/processes.ts';
import { createSandbox, killSandbox } from '../islet/api.ts';
import { sdkOptions } from '../islet/sdk.ts';
import { throughEdge } from '../load/goal.ts';
import { measureRequests } from '../load/requests.ts';
import { timed } from '../pace/timed.ts';
import type { Measurement, Target } from '../report/measurement.ts';
import { percentile } from '../report/statistics.ts';
import type { Row, RowContext } from './row.ts';

/** For what an abuse costs to show, and for it to be gone again. */
const SETTLE_MS = 1_000;
/** One round of the neighbour's work: a create and a kill, some commands, and requests for so long. */
const COMMANDS = 8;
const HTTP_MS = 400;
/** A round takes less than a second; who waits longer than this is not served any more. */
const PATIENCE_MS = 30_000;

const TARGETS: readonly Target[] = [{ kind: 'ratio-at-most', of: 'p99', value: 1.5 }];
const MEMORY_MB = 256 * 1.048576;

/** Milliseconds of what the neighbour did, and what Islet's process held meanwhile, MB. */
interface Seen {
  create: number[];
  run: number[];
  http: number[];
  memory: number[];
}

/** The team that does nothing wrong. */
class Neighbour {
  readonly #access: InstanceAccess;
  readonly #sandbox: Sandbox;

  constructor(access: InstanceAccess, sandbox: Sandbox) {
    this.#access = access;
    this.#sandbox = sandbox;
  }

  /** Works on for `ms`, at least one round. @throws Error where that takes longer than anybody would wait. */
  work(ms: number, context: RowContext): Promise<Seen> {
    const late = sleep(ms + PATIENCE_MS, undefined, { ref: false }).then(() => {
      throw new Error(`the neighbour's work is not done ${PATIENCE_MS / 1_000} s later`);
    });
    return Promise.race([this.#work(ms, context), late]);
  }

  async #work(ms: number, { signal, now }: RowContext): Promise<Seen> {
    const seen: Seen = { create: [], run: [], http: [], memory: [] };
    const goal = throughEdge(this.#access.sandboxUrl, this.#sandbox.sandboxId, FLOOD_PORT);
    const endAt = now() + ms;
    do {
      signal.throwIfAborted();
      const { id, ms: created } = await createSandbox(this.#access);
      seen.create.push(created);
      await killSandbox(this.#access, id);
      for (let i = 0; i < COMMANDS; i++) seen.run.push(await timed(() => this.#sandbox.commands.run('true')));
      seen.http.push(...(await measureRequests(goal, 1, HTTP_MS)).latencies);
      seen.memory.push(await memoryOf(this.#access.pid));
    } while (now() < endAt);
    return seen;
  }
}

async function memoryOf(pid: number): Promise<number> {
  return parseSmapsRollup(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8')).pss / 1e6;
}

/** What the neighbour sees while nothing happens, and while its fellow abuses Islet. */
async function beside(
  abuse: Abuse,
  attacker: Attacker,
  neighbour: Neighbour,
  context: RowContext,
): Promise<{ quiet: Seen; loud: Seen }> {
  const ms = context.size === 'full' ? 8_000 : 2_000;
  const quiet = await neighbour.work(ms, context);
  const stop = await abuse.begin(attacker);
  try {
    await sleep(SETTLE_MS, undefined, { signal: context.signal });
    return { quiet, loud: await neighbour.work(ms, context) };
  } finally {
    await stop();
    await sleep(SETTLE_MS);
  }
}

/** An attacker with a sandbox of its own, which is new for each abuse: the last one may have worn it out. */
async function withAttacker<T>(
  access: InstanceAccess,
  team: Attacker['api'],
  use: (attacker: Attacker) => Promise<T>,
): Promise<T> {
  const sandbox = await Sandbox.create({ ...sdkOptions(access), apiKey: team.key });
  try {
    await serveFloods(sandbox);
    return await use({ api: team, sandbox });
  } finally {
    await team.kill(sandbox.sandboxId);
  }
}

const WORK = ['create', 'run', 'http'] as const;

function ratioOf(what: (typeof WORK)[number], { quiet, loud }: { quiet: Seen; loud: Seen }): string {
  return (percentile(loud[what], 0.99) / percentile(quiet[what], 0.99)).toFixed(2);
}

function compared(name: string, { quiet, loud }: { quiet: Seen; loud: Seen }): Measurement[] {
  return WORK.map((what) => ({
    row: 'neighbour',
    what: `${what} beside ${name}`,
    unit: 'ms',
    samples: loud[what],
    baseline: { what: 'quiet', samples: quiet[what] },
    targets: TARGETS,
  }));
}

export const neighbourRow: Row = {
  name: 'neighbour',
  description: `a team's create, command and HTTP while another does each of ${ABUSES.length} abuses, against quiet`,
  async measure(context) {
    const { access } = context;
    const team = await newTeam(access, 'neighbour');
    const own = await Sandbox.create(sdkOptions(access));
    const measurements: Measurement[] = [];
    const grown: number[] = [];
    const failures: string[] = [];
    try {
      await serveFloods(own);
      const neighbour = new Neighbour(access, own);
      await neighbour.work(0, context);
      for (const [index, abuse] of ABUSES.entries()) {
        context.signal.throwIfAborted();
        context.progress(index, ABUSES.length);
        const say = (text: string) => process.stderr.write(`neighbour: beside ${abuse.name}: ${text}\n`);
        try {
          const seen = await withAttacker(access, team, (attacker) =>
            beside(abuse, attacker, neighbour, context),
          );
          measurements.push(...compared(abuse.name, seen));
          grown.push(Math.max(...seen.loud.memory) - Math.max(...seen.quiet.memory));
          say(WORK.map((what) => `${what} ${ratioOf(what, seen)} ×`).join(', '));
        } catch (error) {
          context.signal.throwIfAborted();
          // A neighbour that gets an error is hindered as well; the other abuses are measured all the same.
          failures.push(abuse.name);
          say(String(error));
        }
      }
    } finally {
      await own.kill();
      await team[Symbol.asyncDispose]();
    }
    measurements.push({
      row: 'neighbour',
      what: 'abuses beside which the neighbour failed',
      unit: 'things',
      samples: [failures.length],
      targets: [{ kind: 'at-most', of: 'p50', value: 0 }],
    });
    measurements.push({
      row: 'neighbour',
      what: "Islet's memory over quiet, the worst of all",
      unit: 'MB',
      samples: grown,
      targets: [{ kind: 'at-most', of: 'p99', value: MEMORY_MB }],
    });
    return measurements;
  },
};
