import { Sandbox } from 'e2b';
import type { InstanceAccess } from '../../e2e/setup/instance.ts';
import { sdkOptions } from '../islet/sdk.ts';
import { timed } from '../pace/timed.ts';

export type LoadStep = 'create' | 'run' | 'pause' | 'resume' | 'kill';

export interface LoadOutcome {
  /** Milliseconds of each step that succeeded. */
  times: Record<LoadStep, number[]>;
  /** What went wrong, a line each. */
  errors: string[];
}

export interface LoadOptions {
  access: InstanceAccess;
  clients: number;
  durationMs: number;
  signal: AbortSignal;
  now: () => number;
}

const RUNS = 3;

/** Clients that each live through one sandbox after the other: create, run, pause, resume, run, kill. */
export async function runLoad(options: LoadOptions): Promise<LoadOutcome> {
  const { clients, durationMs, signal, now } = options;
  const outcome: LoadOutcome = {
    times: { create: [], run: [], pause: [], resume: [], kill: [] },
    errors: [],
  };
  const endAt = now() + durationMs;
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (now() < endAt && !signal.aborted) await oneLife(options, outcome);
    }),
  );
  signal.throwIfAborted();
  return outcome;
}

async function oneLife({ access }: LoadOptions, { times, errors }: LoadOutcome): Promise<void> {
  const connection = sdkOptions(access);
  let sandbox: Sandbox | undefined;
  let step: LoadStep = 'create';
  const take = async (next: LoadStep, work: () => Promise<unknown>) => {
    step = next;
    times[next].push(await timed(work));
  };
  const run = async (text: string) => {
    const { stdout } = await (sandbox as Sandbox).commands.run(`echo ${text}`);
    if (stdout !== `${text}\n`) throw new Error(`echo ${text} gave ${JSON.stringify(stdout)}`);
  };
  try {
    await take('create', async () => {
      sandbox = await Sandbox.create('base', connection);
    });
    const { sandboxId } = sandbox as unknown as Sandbox;
    for (let count = 0; count < RUNS; count++) await take('run', () => run(`before-${count}`));
    await take('pause', () => Sandbox.pause(sandboxId, connection));
    await take('resume', async () => {
      sandbox = await Sandbox.connect(sandboxId, connection);
    });
    for (let count = 0; count < RUNS; count++) await take('run', () => run(`after-${count}`));
    await take('kill', () => Sandbox.kill(sandboxId, connection));
  } catch (error) {
    errors.push(`${step} of ${sandbox?.sandboxId ?? 'a new one'}: ${error}`);
    await sandbox?.kill().catch((failure: unknown) => errors.push(`kill after that: ${failure}`));
  }
}
