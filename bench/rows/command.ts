import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Sandbox } from 'e2b';
import { withSandbox } from '../islet/sdk.ts';
import { inTurns } from '../pace/rounds.ts';
import { timed } from '../pace/timed.ts';
import type { Row } from './row.ts';

const SOURCE = fileURLToPath(new URL('../guest/spawn-timer.c', import.meta.url));
const TIMER = '/tmp/spawn-timer';
const RUNS_A_ROUND = 10;

/** What the SDK makes of `commands.run('true')`. */
const SAME_COMMAND = "/bin/bash -l -c 'true'";

export const commandRow: Row = {
  name: 'command',
  description:
    "commands.run('true') through the SDK, against fork + exec of the same from a C program in the sandbox",
  measure: (context) =>
    withSandbox(context.access, async (sandbox) => {
      await compileTimer(sandbox);
      const pace =
        context.size === 'full' ? { rounds: 20, budgetMs: 30_000 } : { rounds: 3, budgetMs: 5_000 };
      const [sdk, forked] = await inTurns(pace, context, [() => runTrue(sandbox), () => forkTrue(sandbox)]);
      return [
        {
          row: 'command',
          what: "commands.run('true')",
          unit: 'ms',
          samples: sdk.flat(),
          baseline: { what: 'fork + exec', samples: forked.flat() },
          targets: [{ kind: 'ratio-at-most', value: 1.5 }],
        },
      ];
    }),
};

async function compileTimer(sandbox: Sandbox): Promise<void> {
  await sandbox.files.write(`${TIMER}.c`, await readFile(SOURCE, 'utf8'));
  await sandbox.commands.run(`gcc -O2 -o ${TIMER} ${TIMER}.c`);
}

async function runTrue(sandbox: Sandbox): Promise<number[]> {
  const samples: number[] = [];
  for (let run = 0; run < RUNS_A_ROUND; run++) samples.push(await timed(() => sandbox.commands.run('true')));
  return samples;
}

async function forkTrue(sandbox: Sandbox): Promise<number[]> {
  const { stdout } = await sandbox.commands.run(`${TIMER} ${RUNS_A_ROUND} ${SAME_COMMAND}`);
  return stdout.trim().split('\n').map(Number);
}
