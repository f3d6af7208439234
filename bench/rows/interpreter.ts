import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Sandbox } from '@e2b/code-interpreter';
import { islet } from '../../e2e/setup/instance.ts';
import { sdkOptions } from '../islet/sdk.ts';
import { inRounds } from '../pace/rounds.ts';
import { timed } from '../pace/timed.ts';
import type { Measurement } from '../report/measurement.ts';
import type { Row, RowContext } from './row.ts';

/** What a sandbox of `code-interpreter-v1` gets beside what it has. */
const JUPYTER = ['jupyter-server', 'python3-ipykernel', 'python3-websocket'];
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
    'the code interpreter: its first and its next results, its memory, output and forks, beside a bare InteractiveShell',
  async measure(context) {
    const options = await prepare(context);
    return [
      ...(await first(context, options)),
      ...(await inOne(context, options)),
      await forks(context, options),
    ];
  },
};

export const jupyterRow: Row = {
  name: 'jupyter',
  description:
    'the code interpreter beside a Jupyter server in the same sandbox, whose packages this machine fetches by apt',
  async measure(context) {
    const options = await prepare(context);
    const sandbox = await Sandbox.create({ ...options, timeoutMs: 1_800_000 });
    try {
      await install(sandbox, JUPYTER);
      const own = await cellsOf(sandbox, context);
      const jupyter = await guest(sandbox, context, 'kernel-timer.py');
      const baseline = { what: 'a Jupyter server, inside', samples: jupyter.samples };
      return [
        line('jupyter', {
          what: "runCode('1 + 1') through the SDK",
          unit: 'ms',
          samples: own.cells,
          baseline,
        }),
        line('jupyter', {
          ...{ what: 'memory of the server and a Python context', unit: 'MB', samples: [own.serverMb] },
          baseline: { what: 'a Jupyter server and a kernel', samples: [jupyter.resident] },
        }),
      ];
    } finally {
      await sandbox.kill();
    }
  },
};

/** Installs packages of Debian in a sandbox, which need not reach the archive: this machine fetches what it lacks. */
async function install(sandbox: Sandbox, packages: readonly string[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'islet-bench-packages-'));
  try {
    await mkdir(join(folder, 'partial'));
    const installed = await sandbox.files.read('/var/lib/dpkg/status');
    await writeFile(join(folder, 'status'), installed);
    const places = [`Dir::State::status=${join(folder, 'status')}`, `Dir::Cache::archives=${folder}`];
    const settings = [...places, 'APT::Sandbox::User=root'].flatMap((setting) => ['-o', setting]);
    const args = [...settings, '--yes', '--download-only', '--no-install-recommends', 'install', ...packages];
    await promisify(execFile)('apt-get', args, { maxBuffer: 16 * 1024 * 1024 });
    const debs = (await readdir(folder)).filter((name) => name.endsWith('.deb'));
    for (const deb of debs) {
      const bytes = await readFile(join(folder, deb));
      await sandbox.files.write(`/tmp/packages/${deb}`, new Blob([new Uint8Array(bytes)]));
    }
    const command = 'DEBIAN_FRONTEND=noninteractive dpkg --install /tmp/packages/*.deb';
    await sandbox.commands.run(command, { user: 'root', timeoutMs: 900_000 });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function prepare({ access }: RowContext): Promise<Options> {
  await islet('template', 'build', 'code-interpreter', '--json', '--data-dir', access.dataDir);
  return sdkOptions(access);
}

const timesIn = ({ size }: RowContext): number => (size === 'full' ? 300 : 50);

/** Runs a program of `bench/guest` in a sandbox. */
async function guest(sandbox: Sandbox, context: RowContext, name: string): Promise<GuestTimes> {
  const program = await readFile(new URL(`../guest/${name}`, import.meta.url), 'utf8');
  await sandbox.files.write(`/tmp/${name}`, program);
  const command = `/usr/bin/python3 /tmp/${name} ${timesIn(context)}`;
  const { stdout } = await sandbox.commands.run(command, { user: 'root', timeoutMs: 300_000 });
  return JSON.parse(stdout) as GuestTimes;
}

interface Cells {
  /** ms */
  cells: number[];
  /** Resident memory of the context's process, and of it with the server, MiB. */
  contextMb: number;
  serverMb: number;
}

/** Cells of a context that has imported nothing, as what it is held against has not. */
async function cellsOf(sandbox: Sandbox, round: RowContext): Promise<Cells> {
  const context = await sandbox.createCodeContext();
  const cells: number[] = [];
  await sandbox.runCode('1 + 1', { context });
  for (let count = 0; count < timesIn(round); count++) {
    cells.push(await timed(() => sandbox.runCode('1 + 1', { context })));
  }
  const { logs } = await sandbox.runCode(MEMORY, { context });
  const [contextMb, serverMb] = JSON.parse(logs.stdout.join('')) as [number, number];
  return { cells, contextMb, serverMb };
}

/** Prints the resident memory of the process that runs it, and of that with the server, MiB. */
const MEMORY = `import json, os, subprocess
def resident(pid): return next(int(line.split()[1]) for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS")) / 1024
server = subprocess.run(["pgrep", "-f", "^node .*code-interpreter.mjs"], capture_output=True, text=True).stdout.split()
print(json.dumps([resident(os.getpid()), resident(os.getpid()) + sum(map(resident, server))]))`;

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
    line('interpreter', {
      what: "create → first runCode('1 + 1'), one kept ready",
      unit: 'ms',
      samples: all,
    }),
    line('interpreter', {
      ...{ what: "first runCode('1 + 1')", unit: 'ms', samples: firsts },
      baseline: { what: 'the second', samples: seconds },
    }),
  ];
}

/** What cells take, and output. */
async function inOne(context: RowContext, options: Options): Promise<Measurement[]> {
  const sandbox = await Sandbox.create(options);
  try {
    const own = await cellsOf(sandbox, context);
    const shell = await guest(sandbox, context, 'shell-timer.py');
    const print = `line = "x" * 9999\nfor _ in range(${OUTPUT_MB * 100}): print(line)`;
    const rates: number[] = [];
    await inRounds({ rounds: 5, budgetMs: 60_000 }, context, async () => {
      rates.push(OUTPUT_MB / ((await timed(() => sandbox.runCode(print))) / 1_000));
    });
    const baseline = { what: 'a bare InteractiveShell, inside', samples: shell.samples };
    return [
      line('interpreter', {
        what: "runCode('1 + 1') through the SDK",
        unit: 'ms',
        samples: own.cells,
        baseline,
      }),
      line('interpreter', {
        ...{ what: 'memory of a Python context', unit: 'MB', samples: [own.contextMb] },
        baseline: { what: 'a bare InteractiveShell', samples: [shell.resident] },
      }),
      line('interpreter', {
        ...{ what: 'memory of the server and a Python context', unit: 'MB', samples: [own.serverMb] },
      }),
      line('interpreter', { what: `${OUTPUT_MB} MB of output`, unit: 'MB/s', samples: rates }),
    ];
  } finally {
    await sandbox.kill();
  }
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
  return line('interpreter', {
    what: `${FORKS} forks of a kernel with a frame of 200 MB, until all have answered`,
    unit: 'ms',
    samples,
  });
}

function line(row: string, measured: Omit<Measurement, 'row' | 'targets'>): Measurement {
  return { row, targets: [], ...measured };
}
