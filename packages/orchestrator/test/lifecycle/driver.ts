import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Machine, MachineSpec, SandboxDriver } from '@islet/driver';
import { finishSaved, readSaved, type SimulatedHost } from './host.ts';
import type { NodeProcess } from './process.ts';

/** In what drivers differ for the life of sandboxes. */
export const DRIVER_KINDS = ['gvisor', 'microvm'] as const;
export type DriverKind = (typeof DRIVER_KINDS)[number];

/** Machines are fast here, but who runs the tests may not be. */
const PACE = { bootMs: 10_000, restoreMs: 10_000 };

const MEMORY_USED_BYTES = 1024 * 1024;

/** No process has such a number. */
const NO_PID = 2 ** 30;

/** A driver whose machines are in memory, and whose saved states are small folders. */
export function simulatedDriver(host: SimulatedHost, process: NodeProcess, kind: DriverKind): SandboxDriver {
  const at = <T>(name: string, id: string, effect: () => Promise<T> | T) =>
    process.step(`driver.${name}`, effect, id);
  const machineOf = ({ id, dir }: MachineSpec): Machine => ({
    id,
    dir,
    main: { pid: NO_PID, startTicks: 0 },
    companions: [],
  });
  const runs = ({ id }: Machine) => {
    if (!host.machines.get(id)?.isAlive) throw new Error(`machine ${id} does not run`);
  };
  const driver: SandboxDriver = {
    name: kind,
    runtimeDigest: 'simulated',
    pace: PACE,
    ownClock: kind === 'microvm',
    keepsConnections: kind === 'microvm',
    reopensFiles: kind === 'gvisor',
    boot: (spec) =>
      at('boot', spec.id, async () => {
        await host.start(spec, { file: '', memory: '' });
        return machineOf(spec);
      }),
    restore: (spec, snapshotDir) =>
      at('restore', spec.id, async () => {
        const contents = await readSaved(snapshotDir);
        await host.start(spec, contents);
        return machineOf(spec);
      }),
    // The host writes on if the node is killed meanwhile.
    checkpoint: ({ id }, snapshotDir) =>
      at('checkpoint', id, async () => {
        await host.save(id, snapshotDir);
        host.end(id);
      }).then(() => at('finishCheckpoint', id, () => finishSaved(snapshotDir))),
    finishCheckpoint: (snapshotDir) =>
      process.step('driver.finishCheckpoint', () => finishSaved(snapshotDir)),
    snapshot: ({ id }, snapshotDir) =>
      at('snapshot', id, async () => {
        await host.save(id, snapshotDir);
        await finishSaved(snapshotDir);
      }),
    isAlive: ({ id }) => host.machines.get(id)?.isAlive === true,
    freeze: ({ id }) => at('freeze', id, () => host.machines.get(id)?.guest?.freeze()),
    thaw: ({ id }) => at('thaw', id, () => host.thaw(id)),
    adopt: (machine) =>
      at('adopt', machine.id, () => {
        runs(machine);
        host.thaw(machine.id);
      }),
    kill: ({ id }) => at('kill', id, () => host.end(id)),
    release: (id) =>
      at('release', id, () => {
        host.end(id);
        host.machines.delete(id);
      }),
    wasOutOfMemory: () => process.look(async () => false),
    processorMs: () => 0,
    memoryUsedBytes: () => process.look(async () => MEMORY_USED_BYTES),
    list: () => process.look(async () => [...host.machines.keys()]),
    close: async () => undefined,
  };
  if (kind === 'microvm') return driver;
  return {
    ...driver,
    prepare: (spec) =>
      at('prepare', spec.id, () => {
        host.prepare(spec);
        return machineOf(spec);
      }),
    stoppedAt: (snapshotDir) =>
      process.look(async () => {
        const [name] = await readdir(snapshotDir);
        return name === undefined ? undefined : (await stat(join(snapshotDir, name))).mtimeMs;
      }),
    wake: async () => undefined,
    isStill: () => false,
    expect: () => undefined,
  };
}
