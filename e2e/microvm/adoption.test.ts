import { Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';
import { machineOf } from '../setup/machine.ts';
import { qemuOf, stopMachine } from './qemu.ts';

let dataDir: string;
let islet: RunningInstance;
const start = async () => {
  islet = await startInstance(dataDir, ['--warm-memory', '0']);
};
const connection = () => ({ ...islet.access, requestTimeoutMs: 120_000 });
const patient = { timeoutMs: 120_000 };

beforeAll(async () => {
  dataDir = await newDataDir();
  await start();
});
afterAll(async () => {
  await islet.stop('SIGTERM');
  await removeDataDir(dataDir);
});

// It stops one through QEMU's socket.
it.skipIf(process.env.ISLET_FIRECRACKER)(
  'virtual machines outlive a killed Islet, also one that was stopped to be saved, and the next one takes them over',
  async () => {
    const [running, stopped] = (await Promise.all(
      [1, 2].map(() => Sandbox.create('base', { ...connection(), timeoutMs: 600_000 })),
    )) as [Sandbox, Sandbox];
    const program = await running.commands.run('sleep 10000', { background: true, timeoutMs: 0 });
    const machines = await Promise.all([running, stopped].map((one) => machineOf(dataDir, one.sandboxId)));
    const qemus = await Promise.all(machines.map(qemuOf));
    expect(qemus.flat()).toHaveLength(2);

    await islet.stop('SIGKILL');
    await stopMachine(qemus[1]?.[0] ?? 0);
    await start();

    expect(await Promise.all(machines.map(qemuOf))).toEqual(qemus);
    const adopted = await Sandbox.connect(running.sandboxId, connection());
    expect((await adopted.commands.list()).map(({ pid }) => pid)).toEqual([program.pid]);
    const goesOn = await Sandbox.connect(stopped.sandboxId, connection());
    expect((await goesOn.commands.run('echo here', patient)).stdout).toBe('here\n');
    // What was taken over is whole: it can be paused and ended.
    await adopted.pause(connection());
    const resumed = await Sandbox.connect(running.sandboxId, connection());
    expect((await resumed.commands.list()).map(({ pid }) => pid)).toEqual([program.pid]);
    await Promise.all([running, stopped].map((one) => Sandbox.kill(one.sandboxId, connection())));
    expect((await Promise.all(machines.map(qemuOf))).flat()).toEqual([]);
  },
);
