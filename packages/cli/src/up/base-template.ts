import {
  type Database,
  DEFAULT_TAG,
  type FinishedBuild,
  findTaggedBuild,
  LOCAL_DEV,
  registerTemplateBuild,
} from '@islet/db';
import type { TemplateRuntime } from '@islet/orchestrator';
import type { Logger } from '@islet/telemetry';
import type { Report, ShippedTemplates } from '@islet/template-manager';
import type { Reporter } from '../output/reporter.ts';

/** Fixed, so that instances that share a cache share the root file system too. */
export const BASE_TEMPLATE_ID = 'islet0base0template0';

/** A build of the template `base`, as the database knows it. */
export type BaseBuild = Omit<FinishedBuild, 'teamId' | 'alias' | 'namespace' | 'public'>;

export interface BuildBaseDeps {
  shipped: ShippedTemplates;
  runtime: TemplateRuntime;
  reporter: Reporter;
  logger: Logger;
}

export interface BaseTemplateDeps extends BuildBaseDeps {
  db: Database;
}

/** A step's command may have hundreds. */
const SHOWN_CHARACTERS = 100;

/** Of the whole; the rest are the steps and the snapshot. */
const PACKAGES_SHARE = 0.85;

/** The build of `base` that this machine wants, whether it is there or not. */
export async function wantedBase(shipped: ShippedTemplates): Promise<string> {
  return (await shipped.spec('base', BASE_TEMPLATE_ID)).buildId;
}

/** The build of `base`, if another node of the installation has made it and this one can start it. */
export async function broughtBase({
  shipped,
  runtime,
  logger,
}: BuildBaseDeps): Promise<BaseBuild | undefined> {
  const { templateId, buildId, freeDiskMb } = await shipped.spec('base', BASE_TEMPLATE_ID);
  const outcome = await runtime.bring(buildId).catch((error: unknown) => {
    logger.warn({ err: error }, 'the template base cannot be had from the store: it is built here');
    return undefined;
  });
  if (!outcome || !runtime.has(buildId)) return undefined;
  const { cpuCount, memoryMb, diskSizeMb, envdVersion, defaultUser, defaultWorkdir } = outcome;
  return {
    ...{ templateId, buildId, cpuCount, memoryMb, freeDiskMb },
    ...{ diskSizeMb, envdVersion, defaultUser, defaultWorkdir },
  };
}

/** Builds what of the template `base` is missing here. */
export async function buildBase(deps: BuildBaseDeps, signal: AbortSignal): Promise<BaseBuild> {
  const { shipped, reporter, logger } = deps;
  const spec = await shipped.spec('base', BASE_TEMPLATE_ID);
  const { templateId, buildId, cpuCount, memoryMb, freeDiskMb } = spec;
  const step = reporter.step('base-template', 'Base template');
  const report: Report = (level, phase, message, share) => {
    if (level === 'debug' && share === undefined) logger.debug({ phase }, message);
    else
      step.progress(
        message.slice(0, SHOWN_CHARACTERS),
        share === undefined ? undefined : share * PACKAGES_SHARE,
      );
  };
  const { diskSizeMb, envdVersion, defaultUser, defaultWorkdir } = await shipped.build(
    'base',
    spec,
    report,
    signal,
  );
  step.done(`Base template is built (${(diskSizeMb / 1024).toFixed(1)} GiB disk)`);
  return {
    ...{ templateId, buildId, cpuCount, memoryMb, freeDiskMb },
    ...{ diskSizeMb, envdVersion, defaultUser, defaultWorkdir },
  };
}

/** Makes a build the one that the template `base` stands for. */
export async function registerBase(db: Database, base: BaseBuild): Promise<void> {
  const stored = await findTaggedBuild(db, base.templateId, DEFAULT_TAG);
  if (stored?.id === base.buildId) return;
  await registerTemplateBuild(db, {
    ...base,
    teamId: LOCAL_DEV.teamId,
    alias: 'base',
    namespace: null,
    public: true,
  });
}

/** Sees to it that the template `base` exists and starts here: builds what is missing, and nothing else. Gives its build's id. */
export async function ensureBaseTemplate(deps: BaseTemplateDeps, signal: AbortSignal): Promise<string> {
  const { db, shipped, runtime } = deps;
  const buildId = await wantedBase(shipped);
  const stored = await findTaggedBuild(db, BASE_TEMPLATE_ID, DEFAULT_TAG);
  if (stored?.id === buildId && runtime.has(buildId)) return buildId;
  await registerBase(db, await buildBase(deps, signal));
  return buildId;
}
