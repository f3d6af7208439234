import { Count, Durations, Sizes } from '@islet/telemetry';

/** How a build has ended: `user error` if its template is to blame. */
export type BuildResult = 'success' | 'user error' | 'internal error';

/** What of builds is measured, by the names that operators know. */
export const BUILDS = {
  duration: new Durations({
    name: 'template.build.duration',
    description: 'Builds of templates, from their place to their end',
  }),
  phase: new Durations({
    name: 'template.build.phase.duration',
    description:
      'Parts of builds: the wait for a place, the base, the steps, the root file system, the snapshot',
  }),
  step: new Durations({
    name: 'template.build.step.duration',
    description: "Clients' steps, by kind; those from the cache too",
  }),
  result: new Count({ name: 'template.build.result', description: 'Builds that have ended, by how' }),
  cache: new Count({
    name: 'template.build.cache.result',
    description: 'Steps whose layer was there already, or had to be made',
  }),
  rootfsSize: new Sizes({
    name: 'template.build.rootfs.size',
    description: 'Root file systems that builds have ended with, as they take room on the disk',
  }),
};

export type BuildPart = 'wait' | 'base' | 'steps' | 'root file system' | 'snapshot';

/** Times a part of a build. */
export function timePart<T>(phase: BuildPart, work: () => Promise<T>): Promise<T> {
  return BUILDS.phase.time({ phase }, work);
}
