import { execFile } from 'node:child_process';
import { access } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Logger } from '@islet/telemetry';
import { BuildError } from '../builds/build-error.ts';
import { cacheKey } from '../engine/cache-key.ts';
import type { Report } from '../engine/reporter.ts';
import { BuildCommandError, runBuildCommand } from '../host/run.ts';
import type { Layer } from '../layers/layer.ts';
import type { LayerStore } from '../layers/layer-store.ts';
import { chooseMirror } from './mirror.ts';
import { keptAptOptions, planDebian } from './plan.ts';
import { createProgressParser } from './progress.ts';
import type { DebianWish } from './reference.ts';

const run = promisify(execFile);

export interface DebianOptions {
  layers: LayerStore;
  /** The operator's mirror, if one is set. */
  mirror: string | undefined;
  /** Node's name of the machine's architecture. */
  arch: string;
  logger: Logger;
  /**
   * Whether templates may name packages. The scripts of packages run as root beside the host's kernel, which no client may choose:
   * clients install into what is there, in a step.
   */
  choosesPackages: boolean;
}

/** Raise it when the way it is made changes what comes out for the same packages. */
export const DEBIAN_REVISION = 1;

/** Debian root file systems, made by mmdebstrap; one for all who want the same packages. */
export class Debian {
  readonly #options: DebianOptions;

  constructor(options: DebianOptions) {
    this.#options = options;
  }

  /** @throws BuildError of phase `base` if it may not be had, or the mirror does not give it. */
  async make({ suite, packages }: DebianWish, report: Report, signal: AbortSignal): Promise<Layer> {
    const { layers, arch, choosesPackages, logger } = this.#options;
    if (packages.length > 0 && !choosesPackages) {
      throw new BuildError(
        'base',
        'only templates that ship with Islet name packages behind islet/debian: install them in a step (aptInstall)',
      );
    }
    await using layer = await layers.open(
      {
        key: cacheKey('debian', DEBIAN_REVISION, arch, suite, ...packages),
        description: { debian: suite, packages: packages.join(' ') },
        onWait: () =>
          report('info', 'base', '[base] waiting for another Islet on this machine that makes the same'),
      },
      signal,
    );
    if (layer.found) return layer.found;
    try {
      await this.#install({ suite, packages }, layer.dir, report, signal);
    } catch (error) {
      if (!(error instanceof BuildCommandError)) throw error;
      logger.error({ err: error }, 'a Debian root file system could not be made');
      throw new BuildError('base', "Debian's packages cannot be installed", { cause: error });
    }
    return await layer.keep();
  }

  async #install(wish: DebianWish, target: string, report: Report, signal: AbortSignal): Promise<void> {
    const { logger } = this.#options;
    const mirror = await chooseMirror({ hostRoot: '/', mirror: this.#options.mirror });
    logger.info({ suite: wish.suite, mirror: mirror.main }, 'installing Debian');
    report('info', 'base', `[base] Installing Debian (${wish.suite})`, 0);
    const { stdout } = await run('apt-config', ['dump', '--format', '%f "%v";%n']);
    const command = planDebian({
      ...wish,
      mirror,
      aptOptions: keptAptOptions(stdout),
      keyring: await debianKeyring(),
      target,
    });
    const parse = createProgressParser();
    const onLine = (line: string) => {
      // Not for clients: it names the mirror, which may be one of the operator's own network.
      logger.debug({ line }, 'mmdebstrap');
      const news = parse(line);
      if (news) report('debug', 'base', `[base] ${news.message}`, news.progress);
    };
    await runBuildCommand({ command, onLine, signal });
  }
}

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Debian's own apt knows these keys; Ubuntu has them in a package, outside of apt's trust. */
async function debianKeyring(): Promise<string | undefined> {
  return access(KEYRING).then(
    () => KEYRING,
    () => undefined,
  );
}
