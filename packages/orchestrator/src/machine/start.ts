import { rm } from 'node:fs/promises';
import { Undo } from '@islet/contracts';
import type { SandboxDriver } from '@islet/driver';
import type { EgressOwner } from '../egress/policy.ts';
import { waitForEnvd } from '../envd/client.ts';
import { become, type Identity, since } from './identity.ts';
import { makePlace, type Place } from './place.ts';
import type { SandboxNetwork, SandboxVolumes } from './ports.ts';
import type { MachineRun } from './run.ts';
import { type Shape, sizeOf } from './shape.ts';
import { whileAlive } from './while-alive.ts';

export interface StartContext {
  driver: SandboxDriver;
  network: SandboxNetwork;
  volumes: SandboxVolumes;
  guestDirOf: (digest: string) => string;
  /** @throws IsletError 503 if it is not on this machine. */
  rootfsDirOf: (digest: string) => string;
  /** One folder a machine: what the driver writes for it. */
  machinesDir: string;
  newMachineId: () => string;
  /** Unix ms. */
  now: () => number;
}

export interface StartedRun extends MachineRun {
  address: string;
}

/** What a machine starts from. */
export interface StartSource extends Shape {
  /** Absent: it boots. */
  snapshotDir: string | undefined;
  /** What the root file system takes of it, MiB; only asked for to boot. */
  diskUsedMb?: number | undefined;
  /** Volumes that it sees from its first instruction on: a saved sandbox goes on with files of theirs open. */
  volumeIds: readonly string[];
}

export interface StartOptions {
  signal?: AbortSignal | undefined;
  /** Made ahead for the source's shape; whatever fails, it is freed. Absent: it is made now. */
  place?: Place | undefined;
  /** Taken in with the first request that envd answers, which a start need not wait for twice. Absent: it is nobody yet. */
  identity?: Identity;
  /** Called when the host has done its part, at the latest: from then on it waits for the machine alone. */
  onSilence?: () => void;
}

/** Makes the place of a machine of some shape. @param isAhead that nobody waits for, see `MachineSpec` */
export function placeFor(context: StartContext, shape: Shape, isAhead = false): Promise<Place> {
  const { network, volumes, newMachineId, guestDirOf, rootfsDirOf } = context;
  const { rootfs, guest } = shape.base;
  return makePlace(context, {
    id: newMachineId(),
    rootfsDir: rootfsDirOf(rootfs),
    guestDir: guestDirOf(guest),
    ...sizeOf(shape),
    isAhead,
    takeSlot: () => network.take(),
    volumes,
  });
}

/**
 * Starts a machine; its envd serves when this returns. The rules of `owner` hold before it runs its first instruction. Whatever fails, everything made until then is freed before the error is thrown.
 */
export async function startMachine(
  context: StartContext,
  source: StartSource,
  owner: EgressOwner | undefined,
  { signal, identity, place, onSilence }: StartOptions = {},
): Promise<StartedRun> {
  const { driver, network, now, volumes } = context;
  const { snapshotDir, volumeIds, diskUsedMb } = source;
  const { slot, spec, undo } = place ?? (await placeFor(context, source));
  try {
    if (owner) await network.setEgress(slot, owner);
    await volumes.attach(spec, volumeIds);
    const machine = await (snapshotDir === undefined
      ? driver.boot({ ...spec, diskUsedMb }, signal)
      : driver.restore(spec, snapshotDir, signal));
    const stoppedAt = snapshotDir === undefined ? undefined : await driver.stoppedAt?.(snapshotDir);
    const deadlineMs = snapshotDir === undefined ? driver.pace.bootMs : driver.pace.restoreMs;
    await whileAlive(driver, machine, signal, (alive) => {
      const envd = { address: slot.sandboxAddress, deadlineMs, signal: alive };
      return whileSilent(
        { afterMs: SILENT_MS, onSilence, wake: () => driver.wake?.(machine) },
        identity ? become(envd, since(stoppedAt, identity, now), driver.ownClock) : waitForEnvd(envd),
      );
    });
    return { machine, slotIndex: slot.index, address: slot.sandboxAddress };
  } catch (error) {
    throw await undo.after(error);
  }
}

/** A machine that was only just started answers within this, most often; ms. */
const SILENT_MS = 1_000;

interface Silence {
  afterMs: number;
  onSilence: (() => void) | undefined;
  wake: () => Promise<void> | undefined;
}

/**
 * Waits for an answer. If it takes long, its sandbox may have stopped its own init process before it was saved: that is set
 * going again, and nobody else waits for this machine any more.
 */
async function whileSilent({ afterMs, onSilence, wake }: Silence, answer: Promise<void>): Promise<void> {
  const timer = setTimeout(() => {
    onSilence?.();
    wake()?.catch(() => undefined); // It is no worse off: its deadline says what is wrong.
  }, afterMs);
  try {
    await answer;
  } finally {
    clearTimeout(timer);
  }
}

/** Ends a machine and frees what it holds; what cannot be freed keeps nothing else. @throws Error with all that failed */
export async function freeMachine(context: StartContext, { machine, slotIndex }: MachineRun): Promise<void> {
  const { driver, network, volumes } = context;
  await driver.kill(machine);
  const held = new Undo();
  held.add('the network slot', () => network.discard(network.slot(slotIndex)));
  held.add('the folder of the machine', () => rm(machine.dir, { recursive: true, force: true }));
  held.add('the directory of its volumes', () => volumes.detach(machine.id));
  held.add('the machine', () => driver.release(machine.id));
  await held.run();
}
