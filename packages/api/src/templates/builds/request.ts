import {
  aliasTaken,
  assertWithin,
  beyondTeamLimit,
  cpuOdd,
  cpuTooHigh,
  cpuTooLow,
  freeDiskNegative,
  isUuid,
  memoryOdd,
  memoryTooLow,
  nameMissing,
  nameTooLong,
  newTemplateId,
  tagReadsAsBuild,
  templateDeleted,
  tooManyBuilds,
  tooManyTags,
  tooManyTagsOfBuild,
} from '@islet/contracts';
import { DEFAULT_TAG, requestBuild, type Team, type TeamLimits } from '@islet/db';
import type { ApiContext } from '../../context.ts';
import { assertOwnNamespace } from '../read-routes.ts';
import { parseTag, parseTemplateReference } from '../reference.ts';

/** What clients ask for; which fields are there depends on the version of the call. */
export interface WantedBuild {
  /** `[namespace/]alias[:tag]`, or the id of a template of the team. */
  name: string | undefined;
  tags?: string[] | undefined;
  cpuCount?: number | undefined;
  /** MiB. */
  memoryMb?: number | undefined;
  /** Free disk after the last step, MiB; the team's own default where absent. */
  freeDiskMb?: number | undefined;
  createdBy?: string | undefined;
}

export interface AcceptedBuild {
  templateId: string;
  buildId: string;
  public: boolean;
  aliases: { alias: string; namespace: string | null }[];
  tags: string[];
  cpuCount: number;
  memoryMb: number;
}

/** Longest name of a template with its namespace and tag, in characters. */
const MAX_NAME_LENGTH = 128;
const MAX_TAGS = 100;
/** Of all its builds: lists of them have no pages. */
const MAX_TEMPLATE_TAGS = 1000;
const DEFAULT_CPU_COUNT = 2;
const DEFAULT_MEMORY_MB = 1024;
const MAX_CPU_COUNT = 32;
const MIN_MEMORY_MB = 128;

/**
 * Takes a build that a client is about to start, and the names it will be known by.
 * @throws IsletError 400 if the request is wrong or beyond the team's limits, 403 if it has too many templates, 404 and 409 for ids that cannot be
 *   built, 429 where too many builds are under way
 */
export async function acceptBuild(
  context: ApiContext,
  team: Team,
  wanted: WantedBuild,
): Promise<AcceptedBuild> {
  const { name, tags } = parseNames(wanted, team);
  const size = parseSize(wanted, team.limits);
  const result = await requestBuild(context.db, {
    ...size,
    teamId: team.id,
    teamSlug: team.slug,
    name,
    tags,
    newTemplateId: newTemplateId(),
    createdBy: wanted.createdBy,
    maxConcurrent: team.limits.concurrentTemplateBuilds,
    assertRoom: (room) =>
      'tags' in room ? assertTagsFit(room.tags) : assertTemplateFits(room.templates, team.limits),
  });
  switch (result.kind) {
    case 'accepted': {
      const { cpuCount, memoryMb } = size;
      return { ...result, tags, cpuCount, memoryMb };
    }
    case 'deleted':
      throw templateDeleted(name);
    case 'taken':
      throw aliasTaken(name);
    case 'too-many':
      throw tooManyBuilds(team.limits.concurrentTemplateBuilds);
  }
}

function assertTemplateFits(used: number, { maxTemplates }: TeamLimits): void {
  const remedy =
    'delete templates that are not needed (DELETE /templates/{templateID}, `e2b template delete`)';
  assertWithin({ what: 'templates', used, wanted: 1, most: maxTemplates, remedy, flag: '--templates' });
}

/** @param count that a template would have. @throws IsletError 403 if those are too many */
export function assertTagsFit(count: number): void {
  if (count <= MAX_TEMPLATE_TAGS) return;
  throw tooManyTags(MAX_TEMPLATE_TAGS);
}

function parseNames({ name, tags = [] }: WantedBuild, team: Team): { name: string; tags: string[] } {
  if (!name?.trim()) throw nameMissing();
  if (name.length > MAX_NAME_LENGTH) {
    throw nameTooLong(MAX_NAME_LENGTH);
  }
  const reference = parseTemplateReference(name, 'Invalid name');
  assertOwnNamespace(reference.namespace, team);
  // `name:default` says no more than `name`, unless other tags stand beside it.
  const named = /:default$/i.test(name.trim()) ? DEFAULT_TAG : reference.tag;
  const all = [...(named === undefined ? [] : [named]), ...tags].map(parseNewTag);
  if (all.length > MAX_TAGS) throw tooManyTagsOfBuild(MAX_TAGS);
  return { name: reference.name, tags: all.length > 0 ? [...new Set(all)] : [DEFAULT_TAG] };
}

/** A tag to be assigned. @throws IsletError 400 if it is none, or would read as the id of a build */
export function parseNewTag(text: string): string {
  const tag = parseTag(text);
  if (isUuid(tag)) throw tagReadsAsBuild(tag);
  return tag;
}

function parseSize(wanted: WantedBuild, limits: TeamLimits) {
  const { cpuCount = DEFAULT_CPU_COUNT, memoryMb = DEFAULT_MEMORY_MB, freeDiskMb = limits.diskMb } = wanted;
  if (cpuCount < 1) throw cpuTooLow();
  if (cpuCount > MAX_CPU_COUNT) throw cpuTooHigh(MAX_CPU_COUNT);
  if (cpuCount !== 1 && cpuCount % 2 !== 0) throw cpuOdd();
  if (cpuCount > limits.maxVcpu) throw beyondTeamLimit('CPU count', `${limits.maxVcpu}`);
  if (memoryMb < MIN_MEMORY_MB) throw memoryTooLow(MIN_MEMORY_MB);
  if (memoryMb % 2 !== 0) throw memoryOdd();
  if (memoryMb > limits.maxRamMb) throw beyondTeamLimit('Memory', `${limits.maxRamMb} MiB`);
  if (freeDiskMb < 0) throw freeDiskNegative();
  if (freeDiskMb > limits.maxDiskSizeMb) throw beyondTeamLimit('Free disk', `${limits.maxDiskSizeMb} MiB`);
  return { cpuCount, memoryMb, freeDiskMb };
}
