import { buildUnknownHere, type BuildLog as KeptLog } from '@islet/contracts';
import type { BuildFiles } from './build-files.ts';
import { BuildLog, type LogEntry, type LogPage, readLog, selectEntries } from './build-log.ts';
import type { BuildSpec, BuildState } from './build-spec.ts';
import { Places } from './places.ts';
import { type BuildSite, RunningBuild } from './running-build.ts';

export interface BuildsOptions extends Omit<BuildSite, 'places'> {
  /** Builds that run at once; more wait. */
  atOnce: number;
  /** Frees what no build needs any more; runs behind the answers, since removing a root file system takes seconds. */
  tidy: () => Promise<void>;
  /** Takes each line of a build's log, for those who ask for it when it is not here any more. */
  onLog: (log: KeptLog) => void;
  /** From a build's end until then, ms: its first sandbox is mostly created at once, and should not have to share the machine. */
  tidyAfterMs: number;
}

/** The node's builds of clients' templates, those that run and those that ended. */
export class Builds {
  readonly #options: BuildsOptions;
  readonly #files: BuildFiles;
  readonly #site: BuildSite;
  readonly #running = new Map<string, { build: RunningBuild; ended: Promise<void> }>();
  /** Builds being taken: a second call for one waits for the first. */
  readonly #taking = new Map<string, Promise<void>>();
  #tidying: Promise<void> = Promise.resolve();
  #tidyTimer: NodeJS.Timeout | undefined;

  constructor(options: BuildsOptions) {
    this.#options = options;
    this.#files = options.files;
    this.#site = { ...options, places: new Places(options.atOnce) };
  }

  /** Goes on with what an earlier process did not finish. To be called once, before clients ask for builds. */
  async resume(): Promise<void> {
    for (const spec of await this.#files.unfinished()) {
      const { log } = await this.#begin(spec);
      log.append('info', '', 'The template manager was restarted: the build goes on from its cached layers');
    }
  }

  /** Takes a build; it is on disk when this returns. A second call for the same build changes nothing. */
  async start(spec: BuildSpec): Promise<void> {
    const { buildId } = spec;
    const taking =
      this.#taking.get(buildId) ??
      this.#take(spec).finally(() => {
        this.#taking.delete(buildId);
      });
    this.#taking.set(buildId, taking);
    await taking;
  }

  async #take(spec: BuildSpec): Promise<void> {
    if (this.#running.has(spec.buildId) || (await this.#files.has(spec.buildId))) return;
    await this.#files.writeRequest(spec);
    await this.#begin(spec);
  }

  /** The state now, and when it has ended, how. @throws IsletError 404. */
  async *watch(buildId: string, signal: AbortSignal): AsyncGenerator<BuildState> {
    const running = this.#running.get(buildId);
    if (running) {
      yield { kind: 'building' };
      await Promise.race([running.ended, aborted(signal)]);
      if (signal.aborted) return;
    }
    const state = await this.#files.state(buildId);
    if (state) yield state;
    else if (!running) throw buildUnknownHere(buildId);
  }

  /** @throws IsletError 404. */
  async logs(buildId: string, page: LogPage): Promise<LogEntry[]> {
    const running = this.#running.get(buildId);
    if (running) return running.build.log.page(page);
    if (!(await this.#files.has(buildId))) throw buildUnknownHere(buildId);
    return selectEntries(await readLog(this.#files.logPath(buildId)), page);
  }

  /** Returns when nothing of the build runs. Ended and unknown builds: nothing to do. */
  async cancel(buildId: string, reason: string): Promise<void> {
    await this.#taking.get(buildId);
    const running = this.#running.get(buildId);
    running?.build.cancel(reason === '' ? 'the build was cancelled' : reason);
    await running?.ended;
  }

  /** Removes a build, its log and its snapshot. */
  async delete(buildId: string): Promise<void> {
    await this.cancel(buildId, 'the build was deleted');
    await this.#options.forget(buildId);
    await this.#files.remove(buildId);
    this.#tidy();
  }

  /** Stops all builds; they go on when they are opened again. What is not tidy then is left to whoever opens them. */
  async close(): Promise<void> {
    const running = [...this.#running.values()];
    for (const { build } of running) build.interrupt();
    await Promise.all(running.map(({ ended }) => ended));
    clearTimeout(this.#tidyTimer);
    await this.#tidying;
  }

  /** One at a time. */
  #tidy(): void {
    const { tidy, tidyAfterMs, logger } = this.#options;
    this.#tidyTimer ??= setTimeout(() => {
      this.#tidyTimer = undefined;
      this.#tidying = this.#tidying.then(tidy).catch((error) => {
        logger.error({ err: error }, 'what builds left could not be freed');
      });
    }, tidyAfterMs);
  }

  async #begin(spec: BuildSpec): Promise<RunningBuild> {
    const { buildId } = spec;
    const { teamId, templateId } = spec;
    const { now, onLog } = this.#options;
    const log = await BuildLog.open(this.#files.logPath(buildId), now, ({ timestampMs, ...entry }, index) =>
      onLog({ ...{ buildId, templateId, teamId, index, timeMs: timestampMs }, ...entry }),
    );
    const build = new RunningBuild(this.#site, spec, log);
    const ended = build.run().finally(() => {
      this.#running.delete(buildId);
      this.#tidy();
    });
    this.#running.set(buildId, { build, ended });
    return build;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
