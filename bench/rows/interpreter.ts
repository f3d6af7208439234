import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from '@e2b/code-interpreter';
import { Template } from 'e2b';
import { islet } from '../../e2e/setup/instance.ts';
import { sdkOptions } from '../islet/sdk.ts';
import { inRounds } from '../pace/rounds.ts';
import { timed } from '../pace/timed.ts';
import type { Measurement } from '../report/measurement.ts';
import type { Row, RowContext } from './row.ts';

/** `code-interpreter-v1` with a Jupyter server beside what it has. */
const WITH_JUPYTER = 'bench-jupyter';
/** Time in which the pool makes the sandbox that the next create takes. */
const REFILL_MS = 8_000;
const FORKS = 8;
const OUTPUT_MB = 10;

/** What a program of `bench/guest` prints. */
interface GuestTimes {
  samples: number[];
  /** MiB */
  resident: number;
}

type Options = ReturnType<typeof sdkOptions>;

export const interpreterRow: Row = {
  name: 'interpreter',
  description:
    'the code interpreter: its first and its next results, its memory, output and forks, beside a bare InteractiveShell and a Jupyter server',
  async measure(context) {
    await islet('template', 'build', 'code-interpreter', '--json', '--data-dir', context.access.dataDir);
    const options = sdkOptions(context.access);
    await Template.build(
      Template()
        .fromTemplate('code-interpreter-v1')
        .aptInstall(['jupyter-server', 'python3-ipykernel', 'python3-websocket']),
      WITH_JUPYTER,
      { ...options, cpuCount: 2, memoryMB: 2048 },
    );
    return [
      ...(await first(context, options)),
      ...(await inOne(context, options)),
      await forks(context, options),
    ];
  },
};

/** From asking for a sandbox to the result of its first cell, and the time of the second. */
async function first(context: RowContext, options: Options): Promise<Measurement[]> {
  const [all, firsts, seconds]: [number[], number[], number[]] = [[], [], []];
  const pace = context.size === 'full' ? { rounds: 10, budgetMs: 180_000 } : { rounds: 2, budgetMs: 30_000 };
  await inRounds(pace, context, async () => {
    await sleep(REFILL_MS, undefined, { signal: context.signal });
    const startedAt = performance.now();
    const sandbox = await Sandbox.create(options);
    try {
      firsts.push(await timed(() => sandbox.runCode('1 + 1')));
      all.push(performance.now() - startedAt);
      seconds.push(await timed(() => sandbox.runCode('1 + 1')));
    } finally {
      await sandbox.kill();
    }
  });
  return [
    line({ what: "create → first runCode('1 + 1'), one kept ready", unit: 'ms', samples: all }),
    line({
      ...{ what: "first runCode('1 + 1')", unit: 'ms', samples: firsts },
      baseline: { what: 'the second', samples: seconds },
    }),
  ];
}

/** What cells take, in one sandbox that has all three. */
async function inOne(context: RowContext, options: Options): Promise<Measurement[]> {
  const times = context.size === 'full' ? 300 : 50;
  const sandbox = await Sandbox.create(WITH_JUPYTER, { ...options, timeoutMs: 600_000 });
  try {
    const guest = async (name: string): Promise<GuestTimes> => {
      await sandbox.files.write(
        `/tmp/${name}`,
        await readFile(new URL(`../guest/${name}`, import.meta.url), 'utf8'),
      );
      const command = `/usr/bin/python3 /tmp/${name} ${times}`;
      const { stdout } = await sandbox.commands.run(command, { user: 'root', timeoutMs: 300_000 });
      return JSON.parse(stdout) as GuestTimes;
    };
    // Of a context that has imported nothing, as the others have not.
    const own = await sandbox.createCodeContext();
    await sandbox.runCode('1 + 1', { context: own });
    const cells: number[] = [];
    for (let count = 0; count < times; count++) {
      cells.push(await timed(() => sandbox.runCode('1 + 1', { context: own })));
    }
    const held = await sandbox.runCode(OWN_MEMORY, { context: own });
    const ownMb = Number(held.logs.stdout.join(''));
    const shell = await guest('shell-timer.py');
    const jupyter = await guest('kernel-timer.py');
    const print = `line = "x" * 9999\nfor _ in range(${OUTPUT_MB * 100}): print(line)`;
    const rates: number[] = [];
    await inRounds({ rounds: 5, budgetMs: 60_000 }, context, async () => {
      rates.push(OUTPUT_MB / ((await timed(() => sandbox.runCode(print))) / 1_000));
    });
    const what = "runCode('1 + 1') through the SDK";
    return [
      line({
        what,
        unit: 'ms',
        samples: cells,
        baseline: { what: 'a bare InteractiveShell, inside', samples: shell.samples },
      }),
      line({
        what,
        unit: 'ms',
        samples: cells,
        baseline: { what: 'a Jupyter server, inside', samples: jupyter.samples },
      }),
      line({
        ...{ what: 'memory of the server and a Python context', unit: 'MB', samples: [ownMb] },
        baseline: { what: 'a Jupyter server and a kernel', samples: [jupyter.resident] },
      }),
      line({
        ...{ what: 'memory of a Python context', unit: 'MB', samples: [await contextMemory(sandbox, own)] },
        baseline: { what: 'a bare InteractiveShell', samples: [shell.resident] },
      }),
      line({ what: `${OUTPUT_MB} MB of output`, unit: 'MB/s', samples: rates }),
    ];
  } finally {
    await sandbox.kill();
  }
}

type Context = Awaited<ReturnType<Sandbox['createCodeContext']>>;

/** Resident memory of the server and of the process that runs this, MB. */
const OWN_MEMORY = `import os, subprocess
pids = [os.getpid(), *map(int, subprocess.run(["pgrep", "-f", "code-interpreter.mjs"], capture_output=True, text=True).stdout.split())]
print(sum(int(line.split()[1]) for pid in pids for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS")) / 1024)`;

async function contextMemory(sandbox: Sandbox, context: Context): Promise<number> {
  const code =
    'print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) / 1024)';
  return Number((await sandbox.runCode(code, { context })).logs.stdout.join(''));
}

/** Forks of a kernel that holds a frame of 200 MB: until each has summed it. */
async function forks(context: RowContext, options: Options): Promise<Measurement> {
  const samples: number[] = [];
  const pace = context.size === 'full' ? { rounds: 5, budgetMs: 180_000 } : { rounds: 1, budgetMs: 30_000 };
  const original = await Sandbox.create({ ...options, timeoutMs: 900_000 });
  try {
    await original.runCode(
      'import numpy as np, pandas as pd\nframe = pd.DataFrame(np.random.rand(3_200_000, 8))',
    );
    await inRounds(pace, context, async () => {
      const startedAt = performance.now();
      const outcomes = await original.fork({ count: FORKS, timeoutMs: 300_000 });
      const copies = outcomes.filter((each): each is Sandbox => !(each instanceof Error));
      try {
        if (copies.length < FORKS) throw outcomes.find((each) => each instanceof Error);
        await Promise.all(copies.map((copy) => copy.runCode('float(frame.iloc[0].sum())')));
        samples.push(performance.now() - startedAt);
      } finally {
        await Promise.all(copies.map((copy) => copy.kill()));
      }
    });
  } finally {
    await original.kill();
  }
  return line({
    what: `${FORKS} forks of a kernel with a frame of 200 MB, until all have answered`,
    unit: 'ms',
    samples,
  });
}

const line = (measured: Omit<Measurement, 'row' | 'targets'>): Measurement => ({
  row: 'interpreter',
  targets: [],
  ...measured,
});
