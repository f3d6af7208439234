import {
  type Database,
  DEFAULT_TAG,
  type FinishedBuild,
  findTaggedBuild,
  findTemplate,
  LOCAL_DEV,
  registerTemplateBuild,
} from '@islet/db';
import type { TemplateRuntime } from '@islet/orchestrator';
import type { Logger } from '@islet/telemetry';
import {
  type Report,
  type ShippedTemplate,
  type ShippedTemplates,
  shippedTemplateId,
} from '@islet/template-manager';
import type { Step } from '../output/reporter.ts';

export const BASE_TEMPLATE_ID = shippedTemplateId('base');

/** A build of a template that ships with Islet, as the database knows it. */
export type ShippedBuild = Omit<
  FinishedBuild,
  'teamId' | 'alias' | 'namespace' | 'public' | 'tag' | 'nodeId'
>;

export interface BuildShippedDeps {
  shipped: ShippedTemplates;
  runtime: TemplateRuntime;
  /** Begins to tell of a build. */
  step: (id: string, title: string) => Step;
  logger: Logger;
}

export interface ShippedTemplateDeps extends BuildShippedDeps {
  db: Database;
}

/** A step's command may have hundreds. */
const SHOWN_CHARACTERS = 100;

/** Of the whole; the rest are the steps and the snapshot. */
const PACKAGES_SHARE = 0.85;

/** @throws Error if the Islet was built without it */
export async function shippedTemplate(shipped: ShippedTemplates, folder: string): Promise<ShippedTemplate> {
  const found = (await shipped.list()).find((template) => template.folder === folder);
  if (!found) throw new Error(`templates/${folder} is missing: run \`npm run build\``);
  return found;
}

/** The build, if this node or another one of the installation has made it, and this one can start it. */
export async function broughtShipped(
  { shipped, runtime, logger }: BuildShippedDeps,
  folder: string,
): Promise<ShippedBuild | undefined> {
  const { templateId, buildId, freeDiskMb } = await shipped.spec(folder);
  const outcome = await runtime.bring(buildId).catch((error: unknown) => {
    logger.warn({ err: error }, `the template ${folder} cannot be had from the store: it is built here`);
    return undefined;
  });
  if (!outcome || !runtime.has(buildId)) return undefined;
  const { cpuCount, memoryMb, diskSizeMb, envdVersion, defaultUser, defaultWorkdir } = outcome;
  return {
    ...{ templateId, buildId, cpuCount, memoryMb, freeDiskMb },
    ...{ diskSizeMb, envdVersion, defaultUser, defaultWorkdir },
  };
}

/** Builds what of the template is missing here. */
export async function buildShipped(
  deps: BuildShippedDeps,
  { folder, title }: ShippedTemplate,
  signal: AbortSignal,
): Promise<ShippedBuild> {
  const { shipped, logger } = deps;
  const spec = await shipped.spec(folder);
  const { templateId, buildId, cpuCount, memoryMb, freeDiskMb } = spec;
  const step = deps.step(`${folder}-template`, title);
  const report: Report = (level, phase, message, share) => {
    if (level === 'debug' && share === undefined) logger.debug({ phase }, message);
    else
      step.progress(
        message.slice(0, SHOWN_CHARACTERS),
        share === undefined ? undefined : share * PACKAGES_SHARE,
      );
  };
  const { diskSizeMb, envdVersion, defaultUser, defaultWorkdir } = await shipped.build(
    folder,
    spec,
    report,
    signal,
  );
  step.done(`${title} is built (${(diskSizeMb / 1024).toFixed(1)} GiB disk)`);
  return {
    ...{ templateId, buildId, cpuCount, memoryMb, freeDiskMb },
    ...{ diskSizeMb, envdVersion, defaultUser, defaultWorkdir },
  };
}

/** Whether there is a template of a name that the whole installation has. */
export async function isNamed(db: Database, name: string): Promise<boolean> {
  return (await findTemplate(db, { name }, '')) !== undefined;
}

/** Whether a name stands for a build. One that was deleted still knows its builds. */
async function isRegistered(
  db: Database,
  name: string,
  { templateId, buildId }: Pick<ShippedBuild, 'templateId' | 'buildId'>,
  nodeId: string | undefined,
): Promise<boolean> {
  const [template, stored] = await Promise.all([
    findTemplate(db, { name }, ''),
    findTaggedBuild(db, templateId, DEFAULT_TAG),
  ]);
  return template?.id === templateId && stored?.id === buildId && stored.nodeId === (nodeId ?? null);
}

/** Makes a build the one that a shipped template's name stands for. @param nodeId has it; undefined: every node has */
export async function registerShipped(
  db: Database,
  name: string,
  build: ShippedBuild,
  nodeId?: string,
): Promise<void> {
  if (await isRegistered(db, name, build, nodeId)) return;
  await registerTemplateBuild(db, {
    ...build,
    teamId: LOCAL_DEV.teamId,
    alias: name,
    namespace: null,
    public: true,
    nodeId,
  });
}

/**
 * Sees to it that a shipped template exists and starts here: builds what is missing, and nothing else. Gives its build's id.
 * @param nodeId of this node; undefined: every node has such a build of its own
 */
export async function ensureShipped(
  deps: ShippedTemplateDeps,
  template: ShippedTemplate,
  signal: AbortSignal,
  nodeId?: string,
): Promise<string> {
  const { db, shipped, runtime } = deps;
  const { templateId, buildId } = await shipped.spec(template.folder);
  if (runtime.has(buildId) && (await isRegistered(db, template.name, { templateId, buildId }, nodeId)))
    return buildId;
  const here = runtime.has(buildId) ? await broughtShipped(deps, template.folder) : undefined;
  await registerShipped(db, template.name, here ?? (await buildShipped(deps, template, signal)), nodeId);
  return buildId;
}
