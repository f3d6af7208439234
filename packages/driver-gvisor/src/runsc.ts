import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, mkdir, readdir, rm } from 'node:fs/promises';
import { basename, delimiter, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { WritableRoot } from '@islet/driver';
import {
  CommandError,
  type Exec,
  findProcesses,
  killAndWait,
  type ProcessRef,
  refProcess,
  waitForExit,
} from '@islet/host';
import { type MountNamespace, needsHiddenProcSys, openMountNamespace } from './mount-namespace.ts';
import { inOverlay } from './overlay.ts';
import { type GvisorRelease, parseRelease } from './release.ts';
import { runscError } from './runsc-error.ts';
import { lastLogged, readState } from './runsc-files.ts';

/**
 * A sandbox's threads run for so long before others have their turn, ns: the sandbox that wakes to answer goes before
 * one that computes all the time, and the threads of Islet that answer go before both.
 */
const SLICE_NS = 400_000;

const COMMAND_TIMEOUT_MS = 60_000;

export interface RunscOptions {
  /** Its state is kept below, and is lost at a reboot. */
  runtimeDir: string;
  exec: Exec;
  /** Whether the host has cgroups for sandboxes to be put into. */
  hasCgroups: boolean;
}

/** One command of runsc. */
export interface RunscCommand {
  /** The machine's folder, in which the command's log is while it runs. */
  dir: string;
  args: readonly string[];
  signal?: AbortSignal | undefined;
  /** Mounted for the command and for what it leaves running. */
  writableRoot?: WritableRoot | undefined;
}

/** The program that runs sandboxes, and what it keeps of those that it runs. */
export class Runsc {
  /** Of the program: SHA-256, hex. */
  readonly digest: string;
  readonly release: GvisorRelease;
  readonly #file: string;
  readonly #options: RunscOptions;
  readonly #stateDir: string;
  readonly #namespace: MountNamespace | undefined;

  private constructor(
    options: RunscOptions,
    build: { file: string; digest: string; release: GvisorRelease },
    namespace: MountNamespace | undefined,
  ) {
    this.#options = options;
    this.#file = build.file;
    this.digest = build.digest;
    this.release = build.release;
    this.#stateDir = stateDirOf(options);
    this.#namespace = namespace;
  }

  /** Finds the program, and ends the commands of an earlier process. @throws Error if runsc is missing. */
  static async open(options: RunscOptions): Promise<Runsc> {
    const { exec, runtimeDir } = options;
    const file = await findRunsc();
    const digest = await fileDigest(file);
    const release = parseRelease(await exec(file, ['--version']));
    const stateDir = stateDirOf(options);
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    await endCommandsOfOthers(stateDir);
    const hidden = await needsHiddenProcSys(exec);
    const namespace = hidden ? await openMountNamespace(runtimeDir, exec) : undefined;
    return new Runsc(options, { file, digest, release }, namespace);
  }

  /** @throws MissingFileError for a restore; Error with what runsc logged last. */
  async run({ dir, args, signal, writableRoot }: RunscCommand): Promise<void> {
    const log = join(dir, 'runsc.log');
    const runsc = [this.#file, `--log=${log}`, '--log-format=json', ...this.#flags(), ...args];
    const command = writableRoot
      ? inOverlay(writableRoot, { root: join(dir, 'root'), disk: join(dir, 'disk') }, runsc)
      : runsc;
    const [file, ...rest] = this.#namespace
      ? ['nsenter', `--mount=${this.#namespace.file}`, ...command]
      : command;
    try {
      await this.#options.exec(file as string, rest, {
        timeoutMs: COMMAND_TIMEOUT_MS,
        output: 'discard',
        sliceNs: SLICE_NS,
        ...(signal ? { signal } : {}),
      });
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      const reason = (await lastLogged(log)) ?? error.message;
      throw runscError(args[0] ?? '', reason, error);
    } finally {
      await rm(log, { force: true });
    }
  }

  /** The sandbox's processes, the sentry first. Empty if runsc keeps no state of it. */
  async processes(id: string): Promise<ProcessRef[]> {
    const file = join(this.#stateDir, `${id}_sandbox:${id}.state`);
    const ids = (await readState(file, this.release)) ?? [];
    return ids.flatMap((pid) => refProcess(pid) ?? []);
  }

  /** The sandboxes that it keeps something of. */
  async list(): Promise<string[]> {
    const ids = (await readdir(this.#stateDir)).map(
      (name) => /^(.+)_sandbox:\1\.(?:state|lock)$/.exec(name)?.[1],
    );
    return [...new Set(ids.filter((id) => id !== undefined))];
  }

  /** Removes what it keeps of a sandbox, whose processes have ended. */
  async forget(id: string): Promise<void> {
    const files = (await readdir(this.#stateDir)).filter((name) => belongsTo(name, id));
    await Promise.all(files.map((name) => rm(join(this.#stateDir, name), { recursive: true, force: true })));
  }

  /** Removes all that it keeps. */
  async close(): Promise<void> {
    await this.#namespace?.close();
    await rm(this.#stateDir, { recursive: true, force: true });
  }

  #flags(): string[] {
    return [
      `--root=${this.#stateDir}`,
      '--platform=systrap',
      '--network=sandbox',
      '--net-raw',
      // The image is read-only and what is written goes to the sandbox's disk, see `ociSpec`.
      '--overlay2=none',
      // Without it a checkpoint is refused for every connection in TIME-WAIT, which a server has for a minute.
      '--net-disconnect-ok',
      '--cpu-num-from-quota',
      ...(this.#options.hasCgroups ? [] : ['--ignore-cgroups']),
    ];
  }
}

function stateDirOf({ runtimeDir }: RunscOptions): string {
  return join(runtimeDir, 'runsc');
}

/** The runsc that a start would use. @throws Error naming the command that fixes it if there is none. */
async function findRunsc(): Promise<string> {
  for (const dir of (process.env.PATH ?? '').split(delimiter)) {
    const file = join(dir, 'runsc');
    const found = await access(file).then(
      () => true,
      () => false,
    );
    if (found) return file;
  }
  throw new Error('runsc (gVisor) is not in PATH: on Debian run `apt-get install runsc`');
}

async function fileDigest(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/**
 * Waits for the commands that a killed process left under way: a sandbox that one of them starts or saves is seen by no one
 * who looks before it is done.
 */
async function endCommandsOfOthers(stateDir: string): Promise<void> {
  const commands = findProcesses(
    ([file = '', ...args]) =>
      ['runsc', 'nsenter'].includes(basename(file)) && args.includes(`--root=${stateDir}`),
  );
  await Promise.all(
    commands.map((ref) => waitForExit(ref, COMMAND_TIMEOUT_MS).catch(() => killAndWait(ref))),
  );
}

/** runsc names its files `<id>_sandbox:<id>.*` and `runsc-<id>.sock`. */
function belongsTo(fileName: string, id: string): boolean {
  return fileName.startsWith(`${id}_sandbox:`) || fileName === `runsc-${id}.sock`;
}
