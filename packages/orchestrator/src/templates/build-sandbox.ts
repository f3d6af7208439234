import { randomBytes } from 'node:crypto';
import { guestNodeCommand, linkerName, type SandboxDriver, type WritableRoot } from '@islet/driver';
import type { Slot } from '@islet/network';
import type { Logger } from '@islet/telemetry';
import { type CommandEnd, runInSandbox, type SandboxCommand } from '../envd/command.ts';
import type { Guest } from '../guest/guest.ts';
import { bootForBuild } from '../machine/boot.ts';
import { makePlace, type PlaceContext } from '../machine/place.ts';

/** What builds need of the node's network. */
export interface BuildNetwork {
  /** A fresh slot whose interface is used as it is. @throws IsletError 503 if there is none. */
  takeInterface(): Promise<Slot>;
  /** Gives a slot up. Its sandbox must be dead. */
  discard(slot: Slot): void;
}

export interface BuildSandboxContext extends PlaceContext {
  driver: SandboxDriver;
  network: BuildNetwork;
  guest: Guest;
  /** Resolvers, IPv4. */
  dns: readonly string[];
  logger: Logger;
}

export interface BuildSandboxRequest {
  root: WritableRoot;
  cpuCount: number;
  memoryMb: number;
}

/** Runs programs in a sandbox. */
export interface CommandRunner {
  /** @throws Error if it cannot be started, the sandbox ended under it, or `signal` aborted. */
  run(command: SandboxCommand, signal?: AbortSignal): Promise<CommandEnd>;
  /** Runs a Node script of the guest files as root, which needs nothing of the image. */
  runGuestScript(script: GuestScript, signal?: AbortSignal): Promise<CommandEnd>;
}

export interface GuestScript extends Pick<SandboxCommand, 'args' | 'onOutput'> {
  /** Below the guest files. */
  script: string;
}

/** A build's sandbox. When it is disposed of nothing of it is left, and what was written is in its root's `upperDir`. */
export interface BuildSandbox extends CommandRunner, AsyncDisposable {}

/** Boots a sandbox on layers. @throws Error if it does not start; nothing of it is left then */
export async function openBuildSandbox(
  context: BuildSandboxContext,
  request: BuildSandboxRequest,
  signal?: AbortSignal,
): Promise<BuildSandbox> {
  const { driver, network, guest, dns, logger } = context;
  const { root, cpuCount, memoryMb } = request;
  const id = `build-${randomBytes(8).toString('hex')}`;
  const { undo, ...place } = await makePlace(context, {
    ...{ id, rootfsDir: root.upperDir, guestDir: guest.dir, cpuCount, memoryMb, diskSizeMb: undefined },
    takeSlot: () => network.takeInterface(),
  });
  try {
    const user = { defaultUser: 'root', defaultWorkdir: '' };
    const { machine, envd } = await bootForBuild(driver, place, { ...user, dns, signal, writableRoot: root });
    const runner = await commandRunner(context, { id, memoryMb, address: envd.address });
    return {
      ...runner,
      async [Symbol.asyncDispose]() {
        try {
          await driver.kill(machine);
        } finally {
          const left = (error: unknown) => logger.error({ err: error }, 'a build left something behind');
          await undo.run().catch(left);
        }
      },
    };
  } catch (error) {
    throw await undo.after(error);
  }
}

export interface RunningMachine {
  id: string;
  memoryMb: number;
  address: string;
}

/** Runs programs in a machine whose envd serves at an address. */
export async function commandRunner(
  context: Pick<BuildSandboxContext, 'driver' | 'guest'>,
  machine: RunningMachine,
): Promise<CommandRunner> {
  const ldName = await linkerName(context.guest.dir);
  const run: CommandRunner['run'] = (command, signal) =>
    orOutOfMemory(context.driver, machine, signal, (signal) =>
      runInSandbox(machine.address, command, signal),
    );
  return {
    run,
    runGuestScript({ script, args, onOutput }, signal) {
      const [program = '', ...words] = guestNodeCommand(ldName, [], script);
      const command = { program, args: [...words, ...args], user: 'root', cwd: '/' };
      return run(onOutput ? { ...command, onOutput } : command, signal);
    },
  };
}

/** How often it is looked whether the sandbox ran out of memory, ms. */
const MEMORY_POLL_MS = 500;

/**
 * Says so if a command fails for want of memory. What the kernel kills may leave the rest of the sandbox stuck, so the command's
 * end is not waited for; its own words would be `killed`, or a lost connection.
 */
async function orOutOfMemory(
  driver: SandboxDriver,
  { id, memoryMb }: RunningMachine,
  signal: AbortSignal | undefined,
  running: (signal: AbortSignal) => Promise<CommandEnd>,
): Promise<CommandEnd> {
  const exhausted = new AbortController();
  const look = async () => {
    if (!(await driver.wasOutOfMemory(id))) return;
    const limit = `the template's ${memoryMb} MiB`;
    exhausted.abort(new OutOfMemoryError(`it used more memory than ${limit}: give the template more memory`));
  };
  const timer = setInterval(() => void look().catch(() => undefined), MEMORY_POLL_MS);
  try {
    const end = await running(signal ? AbortSignal.any([signal, exhausted.signal]) : exhausted.signal);
    if (end.exitCode !== 0) await look();
    exhausted.signal.throwIfAborted();
    return end;
  } catch (error) {
    if (!signal?.aborted) await look();
    exhausted.signal.throwIfAborted();
    throw error;
  } finally {
    clearInterval(timer);
  }
}

/** A command needed more memory than its sandbox has. */
export class OutOfMemoryError extends Error {
  override readonly name = 'OutOfMemoryError';
}
