import { type Database, DEFAULT_TAG, findTaggedBuild, LOCAL_DEV, registerTemplateBuild } from '@islet/db';
import type { TemplateRuntime } from '@islet/orchestrator';
import type { Builder } from '@islet/template-manager';
import type { Reporter } from '../output/reporter.ts';

/** Fixed, so that instances that share a cache share the root file system too. */
export const BASE_TEMPLATE_ID = 'islet0base0template0';

export interface BaseTemplateDeps {
  db: Database;
  builder: Builder;
  templates: TemplateRuntime;
  reporter: Reporter;
}

/** Sees to it that the template `base` exists and starts here: builds what is missing, and nothing else. Gives its build's id. */
export async function ensureBaseTemplate(deps: BaseTemplateDeps, signal: AbortSignal): Promise<string> {
  const { db, builder, templates, reporter } = deps;
  const { recipe, buildId } = await builder.recipe('base');
  const stored = await findTaggedBuild(db, BASE_TEMPLATE_ID, DEFAULT_TAG);
  if (stored?.id === buildId && templates.has(buildId)) return buildId;

  const step = reporter.step('base-template', 'Base template');
  const { cpuCount, memoryMb, freeDiskMb } = recipe;
  const request = { templateId: BASE_TEMPLATE_ID, buildId, recipe: 'base', cpuCount, memoryMb, freeDiskMb };
  const listener = {
    log: (_step: string, message: string, progress?: number) => step.progress(message, progress),
    output: () => {},
  };
  const result = await builder.build(request, listener, signal);
  await registerTemplateBuild(db, {
    templateId: BASE_TEMPLATE_ID,
    buildId,
    teamId: LOCAL_DEV.teamId,
    alias: 'base',
    namespace: null,
    public: true,
    cpuCount,
    memoryMb,
    freeDiskMb,
    ...result,
  });
  step.done(`Base template is built (${(result.diskSizeMb / 1024).toFixed(1)} GiB disk)`);
  return buildId;
}
