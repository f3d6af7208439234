import { mkdtemp, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MachineSpec, SandboxDriver } from '@islet/driver';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { waitForEnvd } from '../../src/envd/client.ts';
import { DRIVER_KINDS, simulatedDriver } from './driver.ts';
import { SimulatedHost } from './host.ts';
import { NodeProcess } from './process.ts';

/** What the drivers' contract asks of a driver and not of its guest. */
describe.each(DRIVER_KINDS)('simulated driver: %s', (kind) => {
  let host: SimulatedHost;
  let driver: SandboxDriver;
  let dir: string;
  beforeEach(async () => {
    host = await SimulatedHost.open();
    driver = simulatedDriver(
      host,
      new NodeProcess(
        () => undefined,
        () => undefined,
      ),
      kind,
    );
    dir = await mkdtemp(join(tmpdir(), 'islet-simulated-'));
  });
  afterEach(async () => {
    host.close();
    await rm(dir, { recursive: true });
  });

  const newSpec = (): MachineSpec => {
    const { netns } = host.takeSlot();
    const id = host.newMachineId();
    return {
      ...{ id, dir, netns },
      rootfsDir: '',
      guestDir: '',
      cpuCount: 1,
      memoryMb: 128,
      diskSizeMb: 512,
    };
  };
  const contentsOf = ({ netns }: MachineSpec) => host.machineIn(netns)?.guest?.contents;
  const write = (spec: MachineSpec, memory: string) => Object.assign(contentsOf(spec) ?? {}, { memory });

  it('restores what was saved, many times, without one seeing the other', async () => {
    const original = newSpec();
    const machine = await driver.boot(original);
    write(original, 'kept');
    await driver.checkpoint(machine, dir);
    expect(driver.isAlive(machine)).toBe(false);
    await driver.release(machine.id);
    const [one, other] = [newSpec(), newSpec()];
    if (driver.prepare) expect(driver.isAlive(await driver.prepare(one))).toBe(true);
    await Promise.all([one, other].map((spec) => driver.restore(spec, dir)));
    expect([one, other].map((spec) => contentsOf(spec)?.memory)).toEqual(['kept', 'kept']);
    write(one, 'changed');
    expect(contentsOf(other)?.memory).toBe('kept');
  });

  it('goes on beside its snapshot, and after a save that fails', async () => {
    const spec = newSpec();
    const machine = await driver.boot(spec);
    await driver.snapshot(machine, dir);
    await expect(driver.checkpoint(machine, '/dev/null/nowhere')).rejects.toThrow();
    expect(driver.isAlive(machine)).toBe(true);
    const { sandboxAddress: address } = [...host.slots.values()].find(({ slot }) => slot.netns === spec.netns)
      ?.slot ?? {
      sandboxAddress: '',
    };
    await waitForEnvd({ address, deadlineMs: 60_000 });
  });

  it('ends, and frees, safely to repeat', async () => {
    const machine = await driver.boot(newSpec());
    await driver.freeze(machine);
    await driver.kill(machine);
    await driver.kill(machine);
    expect(await driver.list()).toEqual([machine.id]);
    await driver.release(machine.id);
    await driver.release(machine.id);
    expect(await driver.list()).toEqual([]);
    const lost = await driver.boot(newSpec());
    await driver.release(lost.id);
    expect(driver.isAlive(lost)).toBe(false);
  });

  it('fails clearly on a broken snapshot and leaves nothing of the try', async () => {
    const machine = await driver.boot(newSpec());
    await driver.checkpoint(machine, dir);
    await driver.release(machine.id);
    await truncate(join(dir, 'memory.json'), 3);
    await expect(driver.restore(newSpec(), dir)).rejects.toThrow(/restore/);
    expect(await driver.list()).toEqual([]);
  });
});
