import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@islet/telemetry';
import type { SandboxDriver, WritableRoot } from '../drivers/driver.ts';
import type { Guest } from '../host/guest.ts';
import type { NetworkPool } from '../network/pool.ts';
import { type CommandEnd, runInSandbox, type SandboxCommand } from '../sandbox/command.ts';
import { initEnvd, waitForEnvd } from '../sandbox/envd-client.ts';
import { Undo } from '../sandbox/undo.ts';

export interface BuildSandboxContext {
  driver: SandboxDriver;
  network: NetworkPool;
  guest: Guest;
  /** Where machines keep what is theirs. */
  workDir: string;
  dns: readonly string[];
  logger: Logger;
}

export interface BuildSandboxRequest {
  root: WritableRoot;
  cpuCount: number;
  memoryMb: number;
}

/** Runs commands in a sandbox whose files are kept. */
export interface CommandRunner {
  /** @throws Error where it cannot be started, the sandbox ended under it, or `signal` aborted. */
  run(command: SandboxCommand, signal?: AbortSignal): Promise<CommandEnd>;
}

const BOOT_DEADLINE_MS = 60_000;

/**
 * Boots a sandbox on layers, lets `use` run commands in it, and ends it. What was written is in `root.upperDir` then. Nothing
 * of the sandbox is left, however `use` ends.
 */
export async function withBuildSandbox<T>(
  context: BuildSandboxContext,
  request: BuildSandboxRequest,
  use: (runner: CommandRunner) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const { driver, network } = context;
  const undo = new Undo();
  try {
    const id = `build-${randomBytes(8).toString('hex')}`;
    const dir = join(context.workDir, id);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    undo.add(() => rm(dir, { recursive: true, force: true }));
    const slot = await network.take();
    undo.add(() => network.discard(slot));
    undo.add(() => driver.release(id));
    const { root, cpuCount, memoryMb } = request;
    const machine = await driver.boot(
      {
        ...{ id, dir, rootfsDir: root.upperDir, guestDir: context.guest.dir, netns: slot.netns },
        ...{ cpuCount, memoryMb, diskSizeMb: undefined, writableRoot: root },
      },
      signal,
    );
    const envd = { address: slot.sandboxAddress, deadlineMs: BOOT_DEADLINE_MS, signal };
    await waitForEnvd(envd);
    await initEnvd(envd, {
      defaultUser: 'root',
      defaultWorkdir: '',
      dns: context.dns,
      timestamp: new Date().toISOString(),
    });
    const result = await use({
      run: (command, signal) =>
        orOutOfMemory(context, { id, memoryMb }, runInSandbox(slot.sandboxAddress, command, signal)),
    });
    // The sandbox's kernel writes through to the host, except for what it still holds of open files.
    await driver.kill(machine);
    return result;
  } finally {
    await undo.run().catch((error) => context.logger.error({ err: error }, 'a build left something behind'));
  }
}

/** Says so where a command failed for want of memory: the kernel's own words are `killed` or a lost connection. */
export async function orOutOfMemory(
  { driver }: Pick<BuildSandboxContext, 'driver'>,
  { id, memoryMb }: { id: string; memoryMb: number },
  running: Promise<CommandEnd>,
): Promise<CommandEnd> {
  const outcome = await running.then(
    (end) => ({ end }),
    (error: unknown) => ({ error }),
  );
  const failed = 'error' in outcome || outcome.end.exitCode !== 0;
  if (failed && (await driver.wasOutOfMemory(id))) {
    const cause = 'error' in outcome ? { cause: outcome.error } : undefined;
    throw new OutOfMemoryError(
      `it used more memory than the template's ${memoryMb} MiB: give the template more memory`,
      cause,
    );
  }
  if ('error' in outcome) throw outcome.error;
  return outcome.end;
}

/** A command needed more memory than its sandbox has. */
export class OutOfMemoryError extends Error {
  override readonly name = 'OutOfMemoryError';
}
