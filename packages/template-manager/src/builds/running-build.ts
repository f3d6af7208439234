import type { Logger } from '@islet/telemetry';
import type { Report } from '../engine/reporter.ts';
import { BuildError } from './build-error.ts';
import type { BuildFiles, EndedState } from './build-files.ts';
import type { BuildLog } from './build-log.ts';
import type { BuildOutcome, BuildSpec } from './build-spec.ts';
import { BUILDS, type BuildResult, timePart } from './figures.ts';
import type { Places } from './places.ts';

export interface BuildSite {
  files: BuildFiles;
  places: Places;
  /** Makes one build: `runBuild`. */
  run: (spec: BuildSpec, report: Report, signal: AbortSignal) => Promise<BuildOutcome>;
  /** Takes a build out of use, also one that never became ready. */
  forget: (buildId: string) => Promise<void>;
  /** Longest time of a build from when it has a place, ms: no one may be there any more who would cancel it. */
  limitMs: number;
  logger: Logger;
  /** Unix ms. */
  now: () => number;
}

/** Ends a build whose template manager stops: it goes on at the next start. */
class Interrupted extends Error {}

/** A build from when it is taken until it has ended. */
export class RunningBuild {
  readonly log: BuildLog;
  readonly #site: BuildSite;
  readonly #spec: BuildSpec;
  readonly #stop = new AbortController();
  /** That it reported from last. */
  #phase = '';

  /** @param log closed by `run` */
  constructor(site: BuildSite, spec: BuildSpec, log: BuildLog) {
    this.#site = site;
    this.#spec = spec;
    this.log = log;
  }

  /** Waits for a place, makes the build and writes down how that ended. To be called once; never rejects. */
  async run(): Promise<void> {
    const { files, logger } = this.#site;
    const { buildId } = this.#spec;
    try {
      const state = await this.#end().finally(() => this.log.close());
      if (state) await files.writeState(buildId, state);
    } catch (error) {
      logger.error({ err: error, buildId }, 'a build could not be written down');
    }
  }

  /** Ends it for good. */
  cancel(reason: string): void {
    this.#stop.abort(new BuildError('', reason));
  }

  /** Ends it for now: it is unfinished then. */
  interrupt(): void {
    this.#stop.abort(new Interrupted('the template manager stops'));
  }

  /** @returns how it ended; undefined if it was interrupted. */
  async #end(): Promise<EndedState | undefined> {
    const { forget, logger, now } = this.#site;
    const { buildId, templateId } = this.#spec;
    const startedAt = now();
    const end = (result: BuildResult) => {
      BUILDS.result.add({ result });
      BUILDS.duration.record(now() - startedAt, { result });
    };
    try {
      this.log.append('info', '', `Building template ${templateId}/${buildId}`);
      const outcome = await this.#make();
      this.#stop.signal.throwIfAborted(); // cancelled in its last moment: no one waits for it any more
      this.log.finish('info', '', `Build finished, took ${Math.round((now() - startedAt) / 1000)}s`);
      end('success');
      return { kind: 'ready', outcome };
    } catch (caught) {
      const { signal } = this.#stop;
      const error = signal.aborted ? signal.reason : caught;
      if (error instanceof Interrupted) return undefined;
      end(error instanceof BuildError ? 'user error' : 'internal error');
      if (!(error instanceof BuildError)) logger.error({ err: error, buildId }, 'a build failed');
      // What the client is told is what it means; what skopeo or the sandbox said is for the operator.
      else if (error.cause !== undefined) logger.warn({ err: error, buildId }, 'a build failed');
      const { message, phase } =
        error instanceof BuildError
          ? error
          : { message: 'internal error: see the log of the node', phase: this.#phase };
      this.log.finish('error', phase, `Build failed: ${message}`);
      await forget(buildId);
      return { kind: 'failed', message, phase };
    }
  }

  /** In a place, and within the time that a build may take. */
  async #make(): Promise<BuildOutcome> {
    const { places, run, limitMs } = this.#site;
    const { teamId } = this.#spec;
    const { signal } = this.#stop;
    if (places.isFull(teamId)) this.log.append('info', '', 'Waiting for other builds to end');
    using _place = await timePart('wait', () => places.take(teamId, signal));
    const limit = setTimeout(() => this.#takesTooLong(), limitMs);
    const report: Report = (level, phase, message) => {
      this.#phase = phase;
      this.log.append(level, phase, message);
    };
    try {
      return await run(this.#spec, report, signal);
    } finally {
      clearTimeout(limit);
    }
  }

  #takesTooLong(): void {
    const minutes = Math.round(this.#site.limitMs / 60_000);
    this.#stop.abort(new BuildError(this.#phase, `the build took longer than ${minutes} minutes`));
  }
}
