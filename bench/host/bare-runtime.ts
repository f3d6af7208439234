import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { timed } from '../pace/timed.ts';
import type { NetworkNamespaces } from './namespaces.ts';
import { findSandboxProcesses, killAndWait, sandboxMemory, waitForEnd } from './processes.ts';
import { run } from './run.ts';

/** The user of templates, by id, and its home. */
const USER = '1000:1000';
const HOME = '/home/user';

/** How a running sandbox of Islet was started: the same, without Islet, is what Islet is measured against. */
export interface RuntimeRecipe {
  /** The command up to runsc's own flags. */
  command: string[];
  flags: string[];
  /** Its OCI configuration, and the folder of its own that this names. */
  config: OciConfig;
  machineDir: string;
  snapshotDir: string;
}

interface OciConfig {
  mounts: { type: string; source: string }[];
  linux: { namespaces: { type: string; path?: string }[]; cgroupsPath: string };
}

/** Reads from the host how a sandbox was started. */
export async function readRecipe(machineId: string, snapshotDir: string): Promise<RuntimeRecipe> {
  const { sentryArgs } = await findSandboxProcesses(machineId);
  const flags = sentryArgs.slice(1, sentryArgs.indexOf('boot'));
  const bundle = flagValue(sentryArgs, '--bundle');
  // Where runsc has to be run in a mount namespace of its own, that lies beside its state.
  const mountNamespace = join(dirname(flagValue(flags, '--root')), 'mnt/runsc');
  const isolated = await access(mountNamespace).then(
    () => true,
    () => false,
  );
  return {
    command: [...(isolated ? ['nsenter', `--mount=${mountNamespace}`] : []), 'runsc'],
    flags: flags.filter((flag) => !/^--(root|log|log-fd|log-format)=/.test(flag)),
    config: JSON.parse(await readFile(join(bundle, 'config.json'), 'utf8')) as OciConfig,
    machineDir: bundle,
    snapshotDir,
  };
}

function flagValue(args: readonly string[], flag: string): string {
  const value = args.find((arg) => arg.startsWith(`${flag}=`))?.slice(flag.length + 1);
  if (value === undefined) throw new Error(`a sandbox runs without ${flag}: ${args.join(' ')}`);
  return value;
}

/** A sandbox of the bare runtime. What it needs stands ready before its start is timed. */
export interface BareSandbox {
  /** Starts it from the snapshot. @returns milliseconds */
  restore(): Promise<number>;
  /** Runs a program in a running one, as the image's first user, to its end. */
  exec(command: readonly string[]): Promise<void>;
  /** Of a running one, bytes. */
  memory(): Promise<{ rss: number; pss: number }>;
  /** Writes a running one into an empty folder, which ends it. @returns milliseconds until all is written */
  checkpoint(imageDir: string): Promise<number>;
  /** Ends a running one. @returns milliseconds */
  kill(): Promise<number>;
  /** Frees what the runtime keeps of it. */
  remove(): Promise<void>;
}

/** Makes sandboxes with nothing but the runtime. */
export class BareRuntime implements AsyncDisposable {
  readonly #recipe: RuntimeRecipe;
  readonly #dir: string;
  readonly #prefix: string;
  readonly #networks: NetworkNamespaces;
  readonly #live = new Set<BareSandbox>();
  #count = 0;

  /** `prefix`: of the sandboxes' ids and cgroups. */
  constructor(recipe: RuntimeRecipe, dir: string, prefix: string, networks: NetworkNamespaces) {
    this.#recipe = recipe;
    this.#dir = dir;
    this.#prefix = prefix;
    this.#networks = networks;
  }

  /** One that starts from `snapshotDir`, or else from the template's snapshot. */
  async prepare(signal?: AbortSignal, snapshotDir = this.#recipe.snapshotDir): Promise<BareSandbox> {
    const id = `${this.#prefix}-${this.#count++}`;
    const dir = join(this.#dir, id);
    await mkdir(dir, { recursive: true });
    await mkdir(join(this.#dir, 'state'), { recursive: true, mode: 0o700 });
    const netns = await this.#networks.add();
    const config = this.#configFor(id, dir, netns);
    // What it writes goes to a folder of its own.
    const own = config.mounts.filter(({ type, source }) => type === 'bind' && source.startsWith(dir));
    for (const { source } of own) await mkdir(source, { recursive: true });
    await writeFile(join(dir, 'config.json'), JSON.stringify(config));
    const sandbox: BareSandbox = {
      restore: async () => {
        const start = ['restore', '-detach', '-image-path', snapshotDir, '-bundle', dir, id];
        return timed(() => this.#runsc(start, signal));
      },
      exec: (command) => this.#runsc(['exec', '-user', USER, '-cwd', HOME, id, ...command], signal),
      memory: () => sandboxMemory(id),
      checkpoint: async (imageDir) => {
        const { sentry } = await findSandboxProcesses(id);
        const save = ['checkpoint', '-compression=none', '-image-path', imageDir, id];
        return timed(async () => {
          await this.#runsc(save, signal);
          // The command returns before the last pages are written.
          await waitForEnd([sentry]);
        });
      },
      kill: async () => {
        const { sentry, gofer } = await findSandboxProcesses(id);
        return timed(() => killAndWait(gofer ? [sentry, gofer] : [sentry]));
      },
      remove: async () => {
        await this.#runsc(['delete', '-force', id]);
        await this.#networks.remove(netns);
        await rm(dir, { recursive: true, force: true });
        this.#live.delete(sandbox);
      },
    };
    this.#live.add(sandbox);
    return sandbox;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#live].map((sandbox) => sandbox.remove()));
  }

  #runsc(args: string[], signal?: AbortSignal): Promise<void> {
    const { command, flags } = this.#recipe;
    const own = `--root=${join(this.#dir, 'state')}`;
    return run([...command, ...flags, own, ...args], signal && { signal });
  }

  #configFor(id: string, dir: string, netns: string): OciConfig {
    const { config: recipe, machineDir } = this.#recipe;
    const config = JSON.parse(JSON.stringify(recipe).replaceAll(machineDir, dir)) as OciConfig;
    // What the machine has elsewhere goes into the folder, too: where its volumes would be.
    for (const mount of config.mounts) {
      if (mount.type === 'bind' && mount.source.endsWith(`/${basename(machineDir)}`)) {
        mount.source = join(dir, 'volumes');
      }
    }
    config.linux.cgroupsPath = `/${id}`;
    for (const namespace of config.linux.namespaces) {
      if (namespace.type === 'network') namespace.path = `/run/netns/${netns}`;
    }
    return config;
  }
}
