import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ENVD_VERSION } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import { machineDisk } from '../layers/disk.ts';
import { createLayerStore, type LayerStore, type LockFile } from '../layers/layer-store.ts';
import { recipeBuildId } from '../recipe/build-id.ts';
import { loadRecipe, type Recipe } from '../recipe/recipe.ts';
import { chooseMirror } from '../rootfs/host.ts';
import { identityFile, keptAptOptions, planRootfs } from '../rootfs/plan.ts';
import { createProgressParser } from '../rootfs/progress.ts';
import { runBuildCommand } from '../rootfs/run.ts';

const run = promisify(execFile);

/** What turns a root file system into a snapshot that sandboxes start from: the orchestrator of this node. */
export interface TemplateSealer {
  seal(request: SealRequest, signal?: AbortSignal): Promise<{ diskSizeMb: number }>;
}

export interface SealRequest {
  templateId: string;
  buildId: string;
  rootfsDir: string;
  cpuCount: number;
  memoryMb: number;
  freeDiskMb: number;
  defaultUser: string;
  defaultWorkdir: string;
}

export interface BuilderOptions {
  /** The folder with one folder a recipe. */
  recipesDir: string;
  cacheDir: string;
  /** The operator's Debian mirror, where one is set. */
  mirror?: string;
  sealer: TemplateSealer;
  lock: LockFile;
  logger: Logger;
}

export interface BuildRequest {
  templateId: string;
  buildId: string;
  recipe: string;
  cpuCount: number;
  memoryMb: number;
  freeDiskMb: number;
}

export type BuildStep = 'base' | 'finalize';

export interface BuildListener {
  log(step: BuildStep, message: string, progress?: number): void;
  /** A line of a command's output. */
  output(step: BuildStep, line: string): void;
}

export interface BuildResult {
  envdVersion: string;
  diskSizeMb: number;
  defaultUser: string;
  defaultWorkdir: string;
}

export interface Builder {
  /** The recipe and the build id it has on this kind of machine. */
  recipe(name: string): Promise<{ recipe: Recipe; buildId: string }>;
  build(request: BuildRequest, listener: BuildListener, signal: AbortSignal): Promise<BuildResult>;
}

/** Builds templates from recipes on this machine. */
export function createBuilder(options: BuilderOptions): Builder {
  const layers = createLayerStore(join(options.cacheDir, 'layers'), options.lock, machineDisk);
  const load = (name: string) => loadRecipe(options.recipesDir, name, process.arch);

  return {
    async recipe(name) {
      const recipe = await load(name);
      return { recipe, buildId: recipeBuildId(recipe.hash) };
    },
    async build(request, listener, signal) {
      const recipe = await load(request.recipe);
      const rootfsDir = await ensureRootfs(options, layers, recipe, request, listener, signal);
      listener.log('finalize', 'starting it once and taking its snapshot');
      const { diskSizeMb } = await options.sealer.seal(
        {
          templateId: request.templateId,
          buildId: request.buildId,
          rootfsDir,
          cpuCount: request.cpuCount,
          memoryMb: request.memoryMb,
          freeDiskMb: request.freeDiskMb,
          defaultUser: recipe.defaultUser,
          defaultWorkdir: recipe.defaultWorkdir,
        },
        signal,
      );
      const { defaultUser, defaultWorkdir } = recipe;
      return { envdVersion: ENVD_VERSION, diskSizeMb, defaultUser, defaultWorkdir };
    },
  };
}

async function ensureRootfs(
  options: BuilderOptions,
  layers: LayerStore,
  recipe: Recipe,
  request: BuildRequest,
  listener: BuildListener,
  signal: AbortSignal,
): Promise<string> {
  const identity = identityFile(request.templateId, request.buildId);
  const layer = await layers.ensure(
    {
      key: createHash('sha256').update(`${recipe.hash}\n${identity}`).digest('hex'),
      description: { recipe: recipe.name, recipeHash: recipe.hash, buildId: request.buildId },
      onWait: () => listener.log('base', 'waiting for another Islet on this machine that builds the same'),
      make: async (target, signal) => {
        const mirror = await chooseMirror({
          hostRoot: '/',
          ...(options.mirror ? { mirror: options.mirror } : {}),
        });
        listener.log('base', `building ${recipe.name} (${recipe.suite}) from ${mirror.main}`, 0);
        const { stdout } = await run('apt-config', ['dump', '--format', '%f "%v";%n']);
        const command = planRootfs({
          recipe,
          mirror,
          aptOptions: keptAptOptions(stdout),
          keyring: await debianKeyring(),
          identity,
          target,
        });
        const parse = createProgressParser();
        const onLine = (line: string) => {
          options.logger.debug({ recipe: recipe.name, line }, 'build output');
          listener.output('base', line);
          const news = parse(line);
          if (news) listener.log('base', news.message, news.progress);
        };
        await runBuildCommand({ command, onLine, signal });
      },
    },
    signal,
  );
  listener.log('base', layer.cached ? 'root file system is cached' : 'root file system is built', 1);
  return layer.rootfsDir;
}

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Debian's own apt knows these keys; Ubuntu has them in a package, outside of apt's trust. */
async function debianKeyring(): Promise<string | undefined> {
  return access(KEYRING).then(
    () => KEYRING,
    () => undefined,
  );
}
