import type { AliasRow, BuildRow, TemplateSummary } from '@islet/db';
import type { Static } from 'typebox';
import type { TemplateBuild, TemplateShape } from './shapes.ts';

/** No build: what an absent UUID is on the wire. */
const NO_BUILD = '00000000-0000-0000-0000-000000000000';

/** The names that clients may use: with the team's namespace, or bare for the installation's own. */
export function publicNames(aliases: AliasRow[]): string[] {
  return aliases.map(({ alias, namespace }) => (namespace === null ? alias : `${namespace}/${alias}`));
}

/** What is true of a template whichever of its builds is looked at. */
export function presentWithoutBuild(template: TemplateSummary) {
  return {
    templateID: template.id,
    public: template.public,
    aliases: template.aliases.map(({ alias }) => alias),
    names: publicNames(template.aliases),
    createdAt: template.createdAt.toISOString(),
    updatedAt: template.updatedAt.toISOString(),
    lastSpawnedAt: template.lastSpawnedAt?.toISOString() ?? null,
    spawnCount: template.spawnCount,
  };
}

export function presentTemplate(template: TemplateSummary): Static<typeof TemplateShape> {
  const { build } = template;
  return {
    ...presentWithoutBuild(template),
    buildID: build?.id ?? NO_BUILD,
    cpuCount: build?.cpuCount ?? 0,
    memoryMB: build?.memoryMb ?? 0,
    diskSizeMB: build?.diskSizeMb ?? 0,
    createdBy: template.createdBy === null ? null : { id: template.createdBy, email: null },
    buildCount: template.buildCount,
    envdVersion: build?.envdVersion ?? '',
    buildStatus: build?.status ?? 'waiting',
  };
}

export function presentBuild(build: BuildRow): Static<typeof TemplateBuild> {
  return {
    buildID: build.id,
    status: build.status,
    createdAt: build.createdAt.toISOString(),
    updatedAt: build.updatedAt.toISOString(),
    ...(build.finishedAt && { finishedAt: build.finishedAt.toISOString() }),
    cpuCount: build.cpuCount,
    memoryMB: build.memoryMb,
    ...(build.diskSizeMb !== null && { diskSizeMB: build.diskSizeMb }),
    ...(build.envdVersion !== null && { envdVersion: build.envdVersion }),
  };
}
