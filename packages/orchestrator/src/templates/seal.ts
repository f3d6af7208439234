import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { ENVD_VERSION, Undo } from '@islet/contracts';
import { GUEST_MOUNT } from '@islet/driver';
import { waitForQuiet } from '@islet/network';
import type { ProcessorNeeds, SnapshotStore } from '@islet/snapshots';
import { type EnvdRequest, initEnvd } from '../envd/client.ts';
import { runInSandbox } from '../envd/command.ts';
import { bootForBuild } from '../machine/boot.ts';
import { rehearsal } from '../machine/identity.ts';
import { needsOf } from '../machine/needs.ts';
import { makePlace } from '../machine/place.ts';
import type { SandboxNetwork, SandboxVolumes } from '../machine/ports.ts';
import type { RootFileSystem, RootFileSystems } from '../roots/root-file-systems.ts';
import type { StartCommand } from './build.ts';
import { type BuildSandboxContext, type CommandRunner, commandRunner } from './build-sandbox.ts';
import type { TemplateStore } from './store.ts';

export interface SealRequest {
  templateId: string;
  buildId: string;
  rootfs: RootFileSystem;
  /** What its files take, bytes. */
  rootfsBytes: number;
  cpuCount: number;
  memoryMb: number;
  /** Free space that the tier adds to what the template fills. */
  freeDiskMb: number;
  defaultUser: string;
  defaultWorkdir: string;
  /** For sandboxes that have to start without the snapshot; `prepare` starts it for the snapshot. */
  startCommand?: StartCommand | undefined;
  /** Runs in the sandbox before its snapshot; what it leaves running is in the snapshot, and so in every sandbox. */
  prepare?: (runner: CommandRunner, signal: AbortSignal | undefined) => Promise<void>;
}

export interface SealResult {
  diskSizeMb: number;
}

export interface SealContext extends BuildSandboxContext {
  network: BuildSandboxContext['network'] & Pick<SandboxNetwork, 'take'>;
  volumes: SandboxVolumes;
  store: TemplateStore;
  snapshots: SnapshotStore;
  roots: RootFileSystems;
  /** Of this machine. */
  processor: ProcessorNeeds;
}

/** A machine that is busy with others takes seconds to answer a FIN. */
const QUIET_DEADLINE_MS = 20_000;

/** Runs of the first command before the snapshot: what V8 compiles for them is in every sandbox's memory. */
const WARM_UP_RUNS = 12;
/** Those of them that start the image's shell. */
const WARM_UP_SHELLS = 2;

/**
 * Starts a root file system once, waits until its envd serves, and takes the snapshot that every sandbox of the build
 * starts from. An earlier snapshot of the build is replaced only when the new one is complete.
 */
export async function sealTemplate(
  context: SealContext,
  request: SealRequest,
  signal?: AbortSignal,
): Promise<SealResult> {
  const { driver, network, roots, snapshots, store, volumes } = context;
  const { rootfs, defaultUser, defaultWorkdir, cpuCount, memoryMb } = request;
  using _held = roots.hold(rootfs.digest);
  const undo = new Undo();
  try {
    const id = `seal-${request.buildId.slice(0, 8)}-${randomBytes(3).toString('hex')}`;
    const diskUsedMb = Math.ceil(request.rootfsBytes / 1024 ** 2);
    const diskSizeMb = diskUsedMb + request.freeDiskMb;
    const place = await makePlace(context, {
      ...{ id, rootfsDir: await roots.add(rootfs), guestDir: context.guest.dir },
      ...{ cpuCount, memoryMb, diskSizeMb },
      takeSlot: () => network.take(),
      // Empty, but part of the machine: sandboxes restore with the same mounts only.
      volumes,
    });
    undo.add('its place', () => place.undo.run());
    const { dns } = context;
    const boot = { diskUsedMb, defaultUser, defaultWorkdir, dns, signal };
    const { machine, envd } = await bootForBuild(driver, place, boot);
    await warmUp(envd, id, defaultUser);
    const running = { id, memoryMb, address: envd.address };
    await request.prepare?.(await commandRunner(context, running), signal);

    const stage = await snapshots.stage();
    undo.add('what was saved', () => rm(stage, { recursive: true, force: true }));
    await waitForQuiet(envd.address, QUIET_DEADLINE_MS);
    await driver.checkpoint(machine, stage, signal);
    await driver.kill(machine);
    await store.put(stage, {
      templateId: request.templateId,
      buildId: request.buildId,
      ...{ cpuCount, memoryMb, diskSizeMb, diskUsedMb },
      ...{ defaultUser, defaultWorkdir },
      envdVersion: ENVD_VERSION,
      ...(request.startCommand && { startCommand: request.startCommand }),
      needs: needsOf({ rootfs: rootfs.digest, guest: context.guest.digest }, context),
    });
    return { diskSizeMb };
  } finally {
    await undo.run().catch((error) => context.logger.error({ err: error }, 'sealing left something behind'));
  }
}

/**
 * Does what is done first with every sandbox, so that envd's code for it is compiled in the snapshot: with the image's own shell, so
 * that its files are known, and then with a program that starts in a third of the time, since envd does the same for each.
 */
async function warmUp(envd: EnvdRequest, id: string, user: string): Promise<void> {
  const shell = { program: '/bin/bash', args: ['-l', '-c', 'echo ready'], user };
  const quick = { program: `${GUEST_MOUNT}/bin/busybox`, args: ['echo', 'ready'], user };
  for (let run = 0; run < WARM_UP_RUNS; run++) {
    await initEnvd(envd, rehearsal(`${id}-${run}`, new Date()));
    await runInSandbox(envd.address, run < WARM_UP_SHELLS ? shell : quick, envd.signal);
  }
}
