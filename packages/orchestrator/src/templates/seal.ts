import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ENVD_VERSION } from '@islet/contracts';
import { GUEST_MOUNT } from '@islet/driver';
import { waitForQuiet } from '@islet/network';
import type { ProcessorNeeds, SnapshotStore } from '@islet/snapshots';
import type { RootFileSystem, RootFileSystems } from '../roots/root-file-systems.ts';
import { runInSandbox } from '../sandbox/command.ts';
import { type EnvdRequest, initEnvd } from '../sandbox/envd-client.ts';
import type { SandboxNetwork, SandboxVolumes } from '../sandbox/ports.ts';
import { needsOf } from '../sandbox/saves.ts';
import { rehearsal } from '../sandbox/start.ts';
import { Undo } from '../sandbox/undo.ts';
import { waitForBoot } from './boot-answer.ts';
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
  network: BuildSandboxContext['network'] & SandboxNetwork;
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
  const { rootfs } = request;
  using _held = roots.hold(rootfs.digest);
  const undo = new Undo();
  try {
    const rootfsDir = await roots.add(rootfs);
    const id = `seal-${request.buildId.slice(0, 8)}-${randomBytes(3).toString('hex')}`;
    const dir = join(context.workDir, id);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    undo.add(() => rm(dir, { recursive: true, force: true }));
    const slot = await network.take();
    undo.add(() => network.discard(slot));
    // Empty, but part of the machine: sandboxes restore with the same mounts only.
    undo.add(() => volumes.detach(id));
    await volumes.prepare(id);
    undo.add(() => driver.release(id));
    const diskUsedMb = Math.ceil(request.rootfsBytes / 1024 ** 2);
    const diskSizeMb = diskUsedMb + request.freeDiskMb;
    const spec = {
      ...request,
      id,
      dir,
      rootfsDir,
      guestDir: context.guest.dir,
      volumesDir: volumes.machineDir(id),
      netns: slot.netns,
      diskSizeMb,
      diskUsedMb,
    };
    const machine = await driver.boot(spec, signal);
    const envd = { address: slot.sandboxAddress, deadlineMs: driver.pace.bootMs, signal };
    await waitForBoot(driver, machine, envd);
    await initEnvd(envd, {
      defaultUser: request.defaultUser,
      defaultWorkdir: request.defaultWorkdir,
      dns: context.dns,
      timestamp: new Date().toISOString(),
    });
    await warmUp(envd, id, request.defaultUser);
    const { memoryMb } = request;
    const running = { id, memoryMb, address: slot.sandboxAddress };
    await request.prepare?.(await commandRunner(context, running), signal);

    const stage = await snapshots.stage();
    undo.add(() => rm(stage, { recursive: true, force: true }));
    await waitForQuiet(slot.sandboxAddress, QUIET_DEADLINE_MS);
    await driver.checkpoint(machine, stage, signal);
    await driver.kill(machine);
    await store.put(stage, {
      templateId: request.templateId,
      buildId: request.buildId,
      cpuCount: request.cpuCount,
      memoryMb: request.memoryMb,
      diskSizeMb,
      diskUsedMb,
      defaultUser: request.defaultUser,
      defaultWorkdir: request.defaultWorkdir,
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
