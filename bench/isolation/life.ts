import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from 'e2b';
import type { InstanceAccess } from '../../e2e/setup/instance.ts';
import { addressOnHost, machineOf } from '../../e2e/setup/machine.ts';
import { spawnBareQemu } from '../host/bare-qemu.ts';
import { sandboxMemory } from '../host/processes.ts';
import { standstillDuring } from '../host/standstill.ts';
import { createSandbox, forkSandbox, killSandbox, pauseSandbox, resumeSandbox } from '../islet/api.ts';
import { ENVD_PORT, sdkOptions } from '../islet/sdk.ts';
import { throughEdge } from '../load/goal.ts';
import { measureDownload } from '../load/transfer.ts';
import { timed } from '../pace/timed.ts';

/** Time for what a start leaves to be done after its answer: an idle sandbox is paused and forked. */
const IDLE_MS = 1_500;
const CPU_LOOP = 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done';
const FILE_BYTES = 64 * 1024 * 1024;
const FILE_IO = 'dd if=/dev/zero of=/home/user/big bs=1M count=64 conv=fsync status=none';
const FILE = '/files?path=/home/user/big&username=user';
const MB = 1e6;

/** What is measured of one sandbox from its creation to its end; ms, but for `pss` (MB) and `download` (MB/s). */
export const STEPS = {
  create: 'create, none kept ready',
  pause: 'pause, idle',
  resume: 'resume, idle',
  fork: 'fork',
  command: "commands.run('true')",
  loop: '20,000 rounds of a shell loop',
  write: '64 MiB written and synced',
  download: '64 MiB downloaded through the edge',
  pss: 'PSS of an idle one',
} as const;

export type Step = keyof typeof STEPS;

export type Isolation = 'gvisor' | 'microvm';

export type Lives = Record<Step, number[]> & {
  /** While it was forked, the longest time in which a virtual machine answered no packet. */
  standstill: number[];
  /** Spawns of a QEMU without a guest, taken by turns with them. */
  bareQemu: number[];
};

export function noLives(): Lives {
  const steps = Object.fromEntries(Object.keys(STEPS).map((step) => [step, [] as number[]]));
  return { ...(steps as Record<Step, number[]>), standstill: [], bareQemu: [] };
}

/** Measures one life. */
export async function live(access: InstanceAccess, isolation: Isolation, lives: Lives): Promise<void> {
  lives.bareQemu.push(await spawnBareQemu());
  const { id, ms } = await createSandbox(access);
  try {
    lives.create.push(ms);
    await sleep(IDLE_MS);
    lives.pss.push((await sandboxMemory(await machineOf(access.dataDir, id))).pss / MB);
    lives.pause.push(await pauseSandbox(access, id));
    lives.bareQemu.push(await spawnBareQemu());
    lives.resume.push(await resumeSandbox(access, id));
    await sleep(IDLE_MS);
    lives.fork.push(await timedFork(access, id));
    if (isolation === 'microvm') {
      // Under gVisor a program can tell itself (row `fork`), and connections that come meanwhile hold the fork up.
      const address = await addressOnHost(access.dataDir, id);
      lives.standstill.push(await standstillDuring(address, () => timedFork(access, id)));
    }
    await work(access, id, lives);
  } finally {
    await killSandbox(access, id);
  }
}

async function timedFork(access: InstanceAccess, id: string): Promise<number> {
  const { ids, ms } = await forkSandbox(access, id, 1);
  await Promise.all(ids.map((fork) => killSandbox(access, fork)));
  return ms;
}

async function work(access: InstanceAccess, id: string, lives: Lives): Promise<void> {
  const sandbox = await Sandbox.connect(id, sdkOptions(access));
  const run = (command: string) => timed(() => sandbox.commands.run(command));
  await run('true');
  lives.command.push(await run('true'));
  lives.loop.push(await run(CPU_LOOP));
  lives.write.push(await run(FILE_IO));
  const goal = throughEdge(access.sandboxUrl, id, ENVD_PORT);
  lives.download.push((await measureDownload(goal, FILE, FILE_BYTES)) / MB);
}
