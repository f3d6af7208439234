import { Sandbox } from 'e2b';
import type { InstanceAccess } from '../../e2e/setup/instance.ts';
import { machineOf } from '../../e2e/setup/machine.ts';
import { sandboxMemory } from '../host/processes.ts';
import { createSandbox, forkSandbox, killSandbox, pauseSandbox, resumeSandbox } from '../islet/api.ts';
import { sdkOptions } from '../islet/sdk.ts';
import { inRounds } from '../pace/rounds.ts';
import { timed } from '../pace/timed.ts';
import type { Row } from './row.ts';

const ISOLATIONS = ['gvisor', 'microvm'] as const;

const MB = 1_000_000;

const CPU_LOOP = 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done';
const FILE_IO =
  'dd if=/dev/zero of=/home/user/big bs=1M count=64 conv=fsync status=none && rm /home/user/big';

const STEPS = {
  create: 'cold create',
  command: "commands.run('true')",
  loop: '20,000 rounds of a shell loop',
  write: '64 MiB written and synced',
  pause: 'pause, idle',
  resume: 'resume, idle',
  fork: 'fork',
} as const;

type Lives = Record<keyof typeof STEPS, number[]> & { pss: number[] };

/** One sandbox from its creation to its end, by all that is measured of it. */
async function live(access: InstanceAccess, lives: Lives): Promise<void> {
  const { id, ms } = await createSandbox(access);
  try {
    lives.create.push(ms);
    lives.pss.push((await sandboxMemory(await machineOf(access.dataDir, id))).pss / MB);
    lives.pause.push(await pauseSandbox(access, id));
    lives.resume.push(await resumeSandbox(access, id));
    const { ids, ms: forked } = await forkSandbox(access, id, 1);
    lives.fork.push(forked);
    await Promise.all(ids.map((fork) => killSandbox(access, fork)));
    const sandbox = await Sandbox.connect(id, sdkOptions(access));
    const run = (command: string) => timed(() => sandbox.commands.run(command));
    await run('true');
    lives.command.push(await run('true'));
    lives.loop.push(await run(CPU_LOOP));
    lives.write.push(await run(FILE_IO));
  } finally {
    await killSandbox(access, id);
  }
}

/** Ends with the Islet that the other rows measure. */
export const isolationRow: Row = {
  name: 'isolation',
  description: 'the same sandbox under gVisor and as a virtual machine, side by side',
  async measure(context) {
    const { islet, size } = context;
    const pace = size === 'full' ? { rounds: 10, budgetMs: 120_000 } : { rounds: 1, budgetMs: 8_000 };
    const lives = {} as Record<(typeof ISOLATIONS)[number], Lives>;
    for (const isolation of ISOLATIONS) {
      const measured: Lives = {
        ...{ create: [], command: [], loop: [], write: [], pause: [], resume: [], fork: [] },
        pss: [],
      };
      lives[isolation] = measured;
      await islet.restart(['--isolation', isolation, '--warm-memory', '0']);
      await inRounds(pace, context, () => live(islet.access, measured));
    }
    await islet.restart();
    const { gvisor, microvm } = lives;
    const times = (Object.keys(STEPS) as (keyof typeof STEPS)[]).map((step) => ({
      ...{ row: 'isolation', what: `${STEPS[step]}, microvm`, unit: 'ms' as const, targets: [] },
      samples: microvm[step],
      baseline: { what: 'gvisor', samples: gvisor[step] },
    }));
    return [
      ...times,
      {
        ...{ row: 'isolation', what: 'PSS of an idle one, microvm', unit: 'MB' as const, targets: [] },
        samples: microvm.pss,
        baseline: { what: 'gvisor', samples: gvisor.pss },
      },
    ];
  },
};
