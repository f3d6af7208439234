import { type Database, DEFAULT_TAG, findTaggedBuild, LOCAL_DEV, registerTemplateBuild } from '@islet/db';
import type { TemplateRuntime } from '@islet/orchestrator';
import type { Logger } from '@islet/telemetry';
import type { Report, ShippedTemplates } from '@islet/template-manager';
import type { Reporter } from '../output/reporter.ts';

/** Fixed, so that instances that share a cache share the root file system too. */
export const BASE_TEMPLATE_ID = 'islet0base0template0';

export interface BaseTemplateDeps {
  db: Database;
  shipped: ShippedTemplates;
  runtime: TemplateRuntime;
  reporter: Reporter;
  logger: Logger;
}

/** A step's command may have hundreds. */
const SHOWN_CHARACTERS = 100;

/** Of the whole; the rest are the steps and the snapshot. */
const PACKAGES_SHARE = 0.85;

/** Sees to it that the template `base` exists and starts here: builds what is missing, and nothing else. Gives its build's id. */
export async function ensureBaseTemplate(deps: BaseTemplateDeps, signal: AbortSignal): Promise<string> {
  const { db, shipped, runtime, reporter, logger } = deps;
  const spec = await shipped.spec('base', BASE_TEMPLATE_ID);
  const { templateId, buildId, cpuCount, memoryMb, freeDiskMb } = spec;
  const stored = await findTaggedBuild(db, templateId, DEFAULT_TAG);
  if (stored?.id === buildId && runtime.has(buildId)) return buildId;

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
  await registerTemplateBuild(db, {
    ...{ templateId, buildId, cpuCount, memoryMb, freeDiskMb },
    ...{ diskSizeMb, envdVersion, defaultUser, defaultWorkdir },
    teamId: LOCAL_DEV.teamId,
    alias: 'base',
    namespace: null,
    public: true,
  });
  step.done(`Base template is built (${(diskSizeMb / 1024).toFixed(1)} GiB disk)`);
  return buildId;
}
