import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ControlPlane, type ListedBody } from '../setup/control-plane.ts';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';
import { VIRTUAL_MACHINES } from '../setup/isolation.ts';
import { machineOf } from '../setup/machine.ts';
import { until } from '../setup/until.ts';

/** How long sandboxes of this Islet go unused before they are frozen, s. */
const FREEZE_AFTER = '1';

const COUNTING = `
import time
n = 0
while True:
    with open('/tmp/n', 'w') as file: file.write(str(n))
    time.sleep(10)
    n += 1
`;

let dataDir: string;
let islet: RunningInstance;
let api: ControlPlane;

async function start(): Promise<void> {
  islet = await startInstance(dataDir, ['--warm-memory', '512', '--freeze-after', FREEZE_AFTER]);
  api = new ControlPlane(islet.access);
}

const connectTo = (sandboxId: string) => {
  const { apiUrl, sandboxUrl, apiKey } = islet.access;
  return Sandbox.connect(sandboxId, { apiUrl, sandboxUrl, apiKey, timeoutMs: 600_000 });
};

/** The processes of a machine, its runtime's own included, with their states: T if one is stopped. */
async function processesOf(machineId: string): Promise<{ pid: number; state: string }[]> {
  const found: { pid: number; state: string }[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const cgroups = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '');
    if (!cgroups.includes(`/${machineId}\n`)) continue;
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
    if (stat !== undefined) found.push({ pid: Number(pid), state: stat.charAt(stat.lastIndexOf(')') + 2) });
  }
  return found;
}

const standsStill = async (machineId: string) => {
  const processes = await processesOf(machineId);
  return processes.length > 0 && processes.every(({ state }) => state === 'T');
};

/** One that was busy when it was first taken for still is tried again after a minute, ms. */
const FROZEN_WITHIN_MS = 240_000;

const untilFrozen = (machineId: string) =>
  until('it stands still', FROZEN_WITHIN_MS, () => standsStill(machineId), Boolean);

/** The kernel ends the last of a killed sandbox's processes behind the answer. */
const untilGone = (machineId: string) =>
  until(
    'nothing of it is left',
    60_000,
    () => processesOf(machineId),
    ({ length }) => length === 0,
  );

/** Machines that are nobody's yet. */
async function readyMachines(): Promise<string[]> {
  const { body } = await api.call<ListedBody[]>('GET', '/v2/sandboxes');
  const taken = await Promise.all(body.map(({ sandboxID }) => machineOf(dataDir, sandboxID)));
  return (await readdir(join(dataDir, 'machines'))).filter((id) => !taken.includes(id));
}

// Virtual machines are stopped by their VMM, which is no state of its process; nor are they frozen for want of use.
describe.skipIf(VIRTUAL_MACHINES)('what is idle', () => {
  beforeAll(async () => {
    dataDir = await newDataDir();
    await start();
  });
  afterAll(async () => {
    expect(await islet.stop('SIGTERM')).toBe(0);
    await removeDataDir(dataDir);
  });

  it('does not count for the time of a command', { timeout: 1_200_000, tags: 'long' }, async () => {
    const { sandboxID } = await api.create({ timeout: 1200 });
    const machineId = await machineOf(dataDir, sandboxID);
    const sandbox = await connectTo(sandboxID);
    // The sandbox may be frozen late, as a slow machine makes it look busy: a command whose time was over by then says nothing.
    for (const timeoutMs of [20_000, 60_000, 2 * FROZEN_WITHIN_MS]) {
      const command = await sandbox.commands.run('sleep 10000', { background: true, timeoutMs });
      const overAt = Date.now() + timeoutMs;
      await command.disconnect();
      await untilFrozen(machineId);
      if (Date.now() > overAt - 1_000) continue;
      await sleep(overAt + 2_000 - Date.now());
      expect(await standsStill(machineId)).toBe(true);
      expect((await sandbox.commands.list()).map(({ pid }) => pid)).toContain(command.pid);
      await api.kill(sandboxID);
      return;
    }
    expect.fail('never frozen within the time of a command');
  });

  it('stands still, is shown as running, and answers whoever asks, also after a kill of Islet', async () => {
    const [used, unused] = await Promise.all([
      api.create({ timeout: 600 }),
      api.create({ timeout: 600, metadata: { 'islet.freeze-after': '2' } }),
    ]);
    const [ofUsed, ofUnused] = await Promise.all(
      [used, unused].map(({ sandboxID }) => machineOf(dataDir, sandboxID)),
    );
    const sandbox = await connectTo(used.sandboxID);
    // Seldom enough to pass unseen, on a slow machine, too: a program that works more often keeps its sandbox going.
    await sandbox.files.write('/tmp/count.py', COUNTING);
    await sandbox.commands.run('python3 /tmp/count.py > /dev/null 2>&1 & echo begun');
    await Promise.all([ofUsed, ofUnused].map((id) => untilFrozen(id as string)));
    const { body } = await api.get(used.sandboxID);
    expect(body.state).toBe('running');
    const before = Number(await sandbox.files.read('/tmp/n'));
    // It goes on where it stood: the program counts on.
    await until(
      'it counts on',
      60_000,
      async () => Number(await sandbox.files.read('/tmp/n')),
      (n) => n > before,
    );
    // An open stream keeps it going; a call to the API has it go on, too.
    const stream = await sandbox.commands.run('sleep 8; echo done', { background: true });
    const lengthened = await api.call('POST', `/sandboxes/${unused.sandboxID}/timeout`, {
      body: { timeout: 900 },
    });
    expect(lengthened.status).toBe(204);
    expect(await standsStill(ofUnused as string)).toBe(false);
    expect((await stream.wait()).stdout).toBe('done\n');
    // Its end comes while it stands still.
    await untilFrozen(ofUnused as string);
    await api.kill(unused.sandboxID);
    await untilGone(ofUnused as string);
    await untilFrozen(ofUsed as string);
    const ready = await until('some are ready', 60_000, readyMachines, (ids) => ids.length > 0);
    for (const id of ready) await untilFrozen(id);

    await islet.stop('SIGKILL');
    await start();
    for (const id of ready) await untilGone(id);
    const again = await connectTo(used.sandboxID);
    expect((await again.commands.run('echo up')).stdout).toBe('up\n');
    await api.kill(used.sandboxID);
    await untilGone(ofUsed as string);
  }, 1_200_000);
});
