import { IsletError } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { Report } from '../engine/reporter.ts';
import { BuildError } from './build-error.ts';
import { BuildFiles } from './build-files.ts';
import { BuildLog, type LogEntry, type LogPage, readLog, selectEntries } from './build-log.ts';
import type { BuildOutcome, BuildSpec, BuildState } from './build-spec.ts';
import { Places } from './places.ts';

export interface BuildsOptions {
  dir: string;
  /** Builds that run at once; more wait. */
  atOnce: number;
  /** Longest time of a build from when it has a place, ms: nobody may be there any more who would cancel it. */
  limitMs: number;
  /** Makes one build. */
  run: (spec: BuildSpec, report: Report, signal: AbortSignal) => Promise<BuildOutcome>;
  /** Takes a build out of use, also one that never became ready. */
  forget: (buildId: string) => Promise<void>;
  /** Frees what no build needs any more; runs behind the answers, since removing a root file system takes seconds. */
  tidy: () => Promise<void>;
  /** From a build's end until then, ms: its first sandbox is mostly created at once, and should not have to share the machine. */
  tidyAfterMs: number;
  logger: Logger;
  /** Unix ms. */
  now: () => number;
}

interface RunningBuild {
  log: BuildLog;
  stop: AbortController;
  ended: Promise<void>;
}

/** Ends a build whose template manager stops: it goes on at the next start. */
class Interrupted extends Error {}

/** The node's builds of clients' templates, those that run and those that ended. */
export class Builds {
  readonly #options: BuildsOptions;
  readonly #files: BuildFiles;
  readonly #places: Places;
  readonly #running = new Map<string, RunningBuild>();
  /** Builds being taken: a second call for one waits for the first. */
  readonly #taking = new Map<string, Promise<void>>();
  #tidying: Promise<void> = Promise.resolve();
  #tidyTimer: NodeJS.Timeout | undefined;

  private constructor(options: BuildsOptions, files: BuildFiles) {
    this.#options = options;
    this.#files = files;
    this.#places = new Places(options.atOnce);
  }

  static async open(options: BuildsOptions): Promise<Builds> {
    return new Builds(options, await BuildFiles.open(options.dir));
  }

  /** Goes on with what an earlier process did not finish. To be called once, before clients ask for builds. */
  async resume(): Promise<void> {
    for (const spec of await this.#files.unfinished()) {
      const running = await this.#begin(spec);
      running.log.append(
        'info',
        '',
        'The template manager was restarted: the build goes on from its cached layers',
      );
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
    else if (!running) throw unknownBuild(buildId);
  }

  /** @throws IsletError 404. */
  async logs(buildId: string, page: LogPage): Promise<LogEntry[]> {
    const running = this.#running.get(buildId);
    if (running) return running.log.page(page);
    if (!(await this.#files.has(buildId))) throw unknownBuild(buildId);
    return selectEntries(await readLog(this.#files.logPath(buildId)), page);
  }

  /** Returns when nothing of the build runs. Ended and unknown builds: nothing to do. */
  async cancel(buildId: string, reason: string): Promise<void> {
    await this.#taking.get(buildId);
    const running = this.#running.get(buildId);
    running?.stop.abort(new BuildError('', reason === '' ? 'the build was cancelled' : reason));
    await running?.ended;
  }

  /** Removes a build, its log and its snapshot. */
  async delete(buildId: string): Promise<void> {
    await this.cancel(buildId, 'the build was deleted');
    await this.#options.forget(buildId);
    await this.#files.remove(buildId);
    this.#tidy();
  }

  /** What a ready build came to. */
  async outcome(buildId: string): Promise<BuildOutcome | undefined> {
    const state = await this.#files.state(buildId);
    return state?.kind === 'ready' ? state.outcome : undefined;
  }

  /** Stops all builds; they go on when they are opened again. What is not tidy then is left to whoever opens them. */
  async close(): Promise<void> {
    const running = [...this.#running.values()];
    for (const { stop } of running) stop.abort(new Interrupted('the template manager stops'));
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
    const log = await BuildLog.open(this.#files.logPath(spec.buildId), this.#options.now);
    const stop = new AbortController();
    const running = { log, stop, ended: this.#run(spec, log, stop) };
    this.#running.set(spec.buildId, running);
    return running;
  }

  /** Never rejects. */
  async #run(spec: BuildSpec, log: BuildLog, stop: AbortController): Promise<void> {
    const { logger } = this.#options;
    const { buildId } = spec;
    try {
      // The caller registers the build first.
      await Promise.resolve();
      const state = await this.#make(spec, log, stop);
      if (state) await this.#files.writeState(buildId, state);
      await log.close();
    } catch (error) {
      logger.error({ err: error, buildId }, 'a build could not be written down');
    } finally {
      this.#running.delete(buildId);
      this.#tidy();
    }
  }

  /** @returns how it ended; undefined where it was interrupted. */
  async #make(
    spec: BuildSpec,
    log: BuildLog,
    stop: AbortController,
  ): Promise<Exclude<BuildState, { kind: 'building' }> | undefined> {
    const { run, forget, logger, now, limitMs } = this.#options;
    const { buildId, templateId } = spec;
    const { signal } = stop;
    const startedAt = now();
    let current = '';
    let limit: NodeJS.Timeout | undefined;
    try {
      log.append('info', '', `Building template ${templateId}/${buildId}`);
      if (this.#places.isFull(spec.teamId)) log.append('info', '', 'Waiting for other builds to end');
      using _place = await this.#places.take(spec.teamId, signal);
      limit = setTimeout(() => {
        const minutes = Math.round(limitMs / 60_000);
        stop.abort(new BuildError(current, `the build took longer than ${minutes} minutes`));
      }, limitMs);
      const report: Report = (level, phase, message) => {
        current = phase;
        log.append(level, phase, message);
      };
      const outcome = await run(spec, report, signal);
      signal.throwIfAborted(); // cancelled in its last moment: nobody waits for it any more
      log.finish('info', '', `Build finished, took ${Math.round((now() - startedAt) / 1000)}s`);
      return { kind: 'ready', outcome };
    } catch (caught) {
      const error = signal.aborted ? signal.reason : caught;
      if (error instanceof Interrupted) return undefined;
      if (!(error instanceof BuildError)) logger.error({ err: error, buildId }, 'a build failed');
      // What the client is told is what it means; what skopeo or the sandbox said is for the operator.
      else if (error.cause !== undefined) logger.warn({ err: error, buildId }, 'a build failed');
      const { message, phase } =
        error instanceof BuildError
          ? error
          : { message: 'internal error: see the log of the node', phase: current };
      log.finish('error', phase, `Build failed: ${message}`);
      await forget(buildId);
      return { kind: 'failed', message, phase };
    } finally {
      clearTimeout(limit);
    }
  }
}

function unknownBuild(buildId: string): IsletError {
  return new IsletError(404, `build '${buildId}' is not known here`);
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
