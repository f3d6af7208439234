import type { Sandbox } from 'e2b';
import { addressOf, straightSandbox, withSandbox } from '../islet/sdk.ts';
import { inTurns } from '../pace/rounds.ts';
import { timed } from '../pace/timed.ts';
import type { Row } from './row.ts';

const ROUND_TRIPS_A_ROUND = 10;
const ANSWER_DEADLINE_MS = 10_000;

/** An open terminal with a shell in it. */
interface Terminal {
  /** Has the shell compute something, and waits for what it writes. */
  roundTrip(): Promise<void>;
  close(): Promise<void>;
}

async function openTerminal(sandbox: Sandbox): Promise<Terminal> {
  let seen = '';
  let look = () => {};
  const handle = await sandbox.pty.create({
    cols: 80,
    rows: 24,
    timeoutMs: 0,
    onData: (bytes) => {
      seen += Buffer.from(bytes).toString('latin1');
      look();
    },
  });
  let count = 100_000;
  return {
    async roundTrip() {
      // The terminal shows the line as it was typed, too: only the sum can come from the shell.
      const sum = String(++count);
      seen = '';
      const answered = new Promise<void>((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`the shell wrote no ${sum} but ${JSON.stringify(seen)}`)),
          ANSWER_DEADLINE_MS,
        );
        look = () => {
          if (!seen.includes(sum)) return;
          clearTimeout(timer);
          resolve();
        };
      });
      await Promise.all([
        sandbox.pty.sendInput(handle.pid, Buffer.from(`echo $((${count - 1} + 1))\n`)),
        answered,
      ]);
    },
    async close() {
      await handle.kill();
    },
  };
}

async function roundTrips(terminal: Terminal): Promise<number[]> {
  const samples: number[] = [];
  for (let trip = 0; trip < ROUND_TRIPS_A_ROUND; trip++)
    samples.push(await timed(() => terminal.roundTrip()));
  return samples;
}

export const terminalRow: Row = {
  name: 'terminal',
  description: 'an echo on an open terminal, typed to written, through the edge and straight to envd',
  measure: (context) =>
    withSandbox(context.access, async (sandbox) => {
      const address = await addressOf(sandbox);
      const edge = await openTerminal(sandbox);
      const straight = await openTerminal(await straightSandbox(context.access, sandbox.sandboxId, address));
      const pace =
        context.size === 'full' ? { rounds: 20, budgetMs: 20_000 } : { rounds: 3, budgetMs: 4_000 };
      const [proxied, direct] = await inTurns(pace, context, [
        () => roundTrips(edge),
        () => roundTrips(straight),
      ]);
      await edge.close();
      await straight.close();
      return [
        {
          row: 'terminal',
          what: 'echo on an open terminal',
          unit: 'ms',
          samples: proxied.flat(),
          baseline: { what: 'straight', samples: direct.flat() },
          targets: [],
        },
      ];
    }),
};
