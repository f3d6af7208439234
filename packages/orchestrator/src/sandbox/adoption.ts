import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { orchestratorProto } from '@islet/contracts';
import { DamagedSnapshotError, type Machine, type SandboxDriver } from '@islet/driver';
import type { EgressRules } from '@islet/network';
import { type ProcessorNeeds, readSealed, type SnapshotStore, type StoredSnapshot } from '@islet/snapshots';
import type { Logger } from '@islet/telemetry';
import { firewallRules, policyOf } from '../egress/policy.ts';
import type { SandboxNetwork } from '../machine/ports.ts';
import type { RecordStore, SandboxRecord } from './record.ts';
import { factsOf } from './snapshotter.ts';

const { SandboxState } = orchestratorProto;

/** How long a save may take to end that an earlier process began, ms. */
const SAVE_DEADLINE_MS = 60_000;

/** How often it is looked whether it has ended, ms. */
const LOOK_MS = 2;

/** What an earlier process left on disk: every folder's id with its record, undefined if it holds none that can be read. */
export type FoundRecords = ReadonlyMap<string, SandboxRecord | undefined>;

export interface AdoptionContext {
  /** Runs sandboxes. */
  driver: SandboxDriver;
  /** Runs builds, none of which is taken over. May be the same. */
  buildDriver: SandboxDriver;
  network: Pick<SandboxNetwork, 'slot' | 'discard'>;
  records: RecordStore;
  snapshots: SnapshotStore;
  /** Of this machine. */
  processor: ProcessorNeeds;
  /** One folder a machine. */
  machinesDir: string;
  /** Unix ms. */
  now: () => number;
  logger: Logger;
}

/**
 * The network slots that the sandboxes of an earlier process hold, whether or not these still run.
 * @param resolvers of the sandboxes, IPv4
 */
export function heldSlots(
  found: FoundRecords,
  resolvers: readonly string[],
): { index: number; egress: EgressRules }[] {
  return readable(found).flatMap(({ run, sandbox }) =>
    run ? [{ index: run.slotIndex, egress: firewallRules(policyOf(sandbox.config.egress), resolvers) }] : [],
  );
}

/**
 * Takes over the sandboxes of an earlier process that still run or are saved, and frees all else that it left: sandboxes
 * that were half started, kept ready, or ended while no one watched.
 * @returns the records of those taken over, as they are on disk now
 */
export async function adoptSandboxes(
  found: FoundRecords,
  context: AdoptionContext,
): Promise<SandboxRecord[]> {
  const adopted = await adopt(readable(found), context);
  await freeLeftovers(found, adopted, context);
  return adopted;
}

function readable(found: FoundRecords): SandboxRecord[] {
  return [...found.values()].filter((record) => record !== undefined);
}

/**
 * Those records whose sandbox still runs or is saved; the slots of the others are given up. A pause that the earlier
 * process did not see the end of counts as done if the sandbox has ended, and as never begun if it runs on. If the host
 * ended meanwhile, too, which takes along what drivers keep of machines, nobody knows how much of the pause came to the disk.
 */
async function adopt(found: readonly SandboxRecord[], context: AdoptionContext): Promise<SandboxRecord[]> {
  const { driver, network, records, logger } = context;
  const adopted: SandboxRecord[] = [];
  const takenOver: Promise<void>[] = [];
  await Promise.all(found.map((record) => waitForSave(record, context)));
  const machines = new Set(await driver.list());
  for (const record of found) {
    const { run, sandbox } = record;
    if (!run) {
      adopted.push(record);
    } else if (driver.isAlive(run.machine)) {
      // One that ends just now, or does not answer, must not keep the others from being served: it can be killed.
      const lost = (error: unknown) =>
        logger.error({ err: error, sandboxId: sandbox.config.sandboxId }, 'a sandbox was not taken over');
      takenOver.push(driver.adopt(run.machine).catch(lost));
      adopted.push(await asRunning(record, records));
    } else {
      network.discard(network.slot(run.slotIndex));
      const paused = await takePause(record, run.machine, machines, context);
      if (paused) adopted.push(paused);
    }
  }
  await Promise.all([...takenOver, ...adopted.map((record) => records.tidy(record))]);
  return adopted;
}

/** A sandbox that runs, whatever was done with it when the earlier process ended. */
async function asRunning(record: SandboxRecord, records: RecordStore): Promise<SandboxRecord> {
  const { sandbox } = record;
  if (sandbox.state === SandboxState.RUNNING) return record;
  const revision = sandbox.revision + 1;
  const running = {
    ...record,
    sandbox: { ...sandbox, revision, state: SandboxState.RUNNING, moving: false },
  };
  // Or the next process would take it for one that is being paused.
  await records.write(running, { durable: false });
  return running;
}

/** A sandbox whose machine has ended, as a paused one; undefined if it was not being paused, or is lost. */
async function takePause(
  record: SandboxRecord,
  machine: Machine,
  machines: ReadonlySet<string>,
  context: AdoptionContext,
): Promise<SandboxRecord | undefined> {
  const { records, now, logger } = context;
  const { sandbox } = record;
  if (sandbox.state !== SandboxState.PAUSING) return undefined;
  const { sandboxId } = sandbox.config;
  const saved = await findSaved(record, machines.has(machine.id), context);
  if (!saved) {
    logger.error({ sandboxId }, 'a sandbox was lost: it ended before it was paused');
    return undefined;
  }
  const paused = {
    ...record,
    run: undefined,
    saved: saved.digest,
    sandbox: {
      ...sandbox,
      revision: sandbox.revision + 1,
      state: SandboxState.PAUSED,
      endAtMs: sandbox.moving ? sandbox.endAtMs : now(),
      address: '',
    },
  };
  await records.write(paused, { durable: true });
  return paused;
}

/** The state that a pause saved which no one saw the end of; undefined if it is not whole, and nobody knows how much is missing. */
async function findSaved(
  record: SandboxRecord,
  isMachineKnown: boolean,
  context: AdoptionContext,
): Promise<StoredSnapshot | undefined> {
  const { driver, records, snapshots, logger } = context;
  const { config, executionId } = record.sandbox;
  const { sandboxId } = config;
  const dir = records.savingDir(sandboxId);
  if (!(await records.isSaving(sandboxId))) {
    const isOfRun = ({ manifest: { subject } }: StoredSnapshot) =>
      subject.kind === 'sandbox' && subject.sandboxId === sandboxId && subject.executionId === executionId;
    return (await snapshots.list()).find(isOfRun);
  }
  if (!(await readSealed(dir))) {
    if (!isMachineKnown) return undefined;
    try {
      await driver.finishCheckpoint?.(dir);
    } catch (error) {
      if (!(error instanceof DamagedSnapshotError)) throw error;
      logger.warn({ err: error, sandboxId }, 'a sandbox was killed while it was saved');
      return undefined;
    }
  }
  return snapshots.put(dir, factsOf(record, context), { sync: false });
}

/** A sandbox that is being written ends by itself: nothing may take it for a running one until then. */
async function waitForSave({ sandbox, run }: SandboxRecord, context: AdoptionContext): Promise<void> {
  const { driver, records } = context;
  const id = sandbox.config.sandboxId;
  if (!run || sandbox.state !== SandboxState.PAUSING || !(await records.isSaving(id))) return;
  // Where it does not, its saving has not begun in earnest.
  const deadline = performance.now() + SAVE_DEADLINE_MS;
  while (driver.isAlive(run.machine) && performance.now() < deadline) await sleep(LOOK_MS);
}

/** Frees what belongs to no adopted sandbox. */
async function freeLeftovers(
  found: FoundRecords,
  adopted: readonly SandboxRecord[],
  { driver, buildDriver, records, machinesDir }: AdoptionContext,
): Promise<void> {
  await mkdir(machinesDir, { recursive: true, mode: 0o700 });
  const sandboxIds = new Set(adopted.map((record) => record.sandbox.config.sandboxId));
  for (const id of found.keys()) {
    if (!sandboxIds.has(id)) await rm(records.dir(id), { recursive: true, force: true });
  }
  const machineIds = new Set(adopted.map((record) => record.run?.machine.id));
  const remove = async (id: string, runners: readonly SandboxDriver[]) => {
    if (machineIds.has(id)) return;
    for (const runner of runners) await runner.release(id);
    await rm(join(machinesDir, id), { recursive: true, force: true });
  };
  const drivers = [...new Set([driver, buildDriver])];
  // Whoever runs it comes first: nobody can remove the cgroup of processes that live.
  for (const runner of drivers) for (const id of await runner.list()) await remove(id, [runner]);
  for (const id of await readdir(machinesDir)) await remove(id, drivers);
}
