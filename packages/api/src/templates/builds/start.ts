import { create } from '@bufbuild/protobuf';
import {
  buildNotStarted,
  buildNotWaiting,
  IsletError,
  invalidFilesHashInStep,
  templateManagerUnavailable,
  templateProto,
} from '@islet/contracts';
import {
  assignBuild,
  type BuildDetail,
  type BuildRow,
  beginBuild,
  failBuilds,
  findBuild,
  listUnfinishedBuilds,
  type PlacedBuild,
  type Team,
} from '@islet/db';
import type { ApiContext } from '../../context.ts';
import type { Recipe, StartBuild } from './shapes.ts';

/** Longest wait for the template manager to have a build on disk. */
const START_TIMEOUT_MS = 30_000;
const FILES_HASH = /^[0-9a-f]{64}$/;
/** Starts a build that waits, and ends what it replaces. */
export async function startBuild(
  context: ApiContext,
  team: Team,
  build: BuildDetail,
  recipe: Recipe,
  userAgent: string | undefined,
): Promise<void> {
  if (build.status !== 'waiting') throw buildNotWaiting();
  checkFiles(recipe);
  await replaceOthers(context, team, build);
  if (!(await beginBuild(context.db, build.id))) throw buildNotWaiting();
  const source = await findSource(context, team, recipe);
  if ('problem' in source) {
    const { problem, step, status } = source;
    await failBuilds(context.db, [build.id], { message: problem, step });
    if (status !== undefined) throw buildNotStarted(status, problem);
    return;
  }
  let given: PlacedBuild;
  try {
    const { parent } = source;
    const node = context.nodes.best(build, parent && { buildId: parent.id, madeOn: parent.nodeId });
    await assignBuild(context.db, build.id, node.id);
    given = { id: build.id, nodeId: node.id };
    await node.callAsIs(START_TIMEOUT_MS, ({ templates }, options) =>
      templates.startBuild(
        {
          templateId: build.templateId,
          buildId: build.id,
          teamId: team.id,
          cpuCount: build.cpuCount,
          memoryMb: build.memoryMb,
          freeDiskMb: build.freeDiskMb,
          diskLimitMb: team.limits.maxDiskSizeMb,
          source: source.source,
          steps: recipe.steps?.map(toStep) ?? [],
          ...(recipe.startCmd != null && { startCommand: recipe.startCmd }),
          ...(recipe.readyCmd != null && { readyCommand: recipe.readyCmd }),
          force: recipe.force ?? false,
          legacyUser: isLegacySdk(userAgent),
        },
        options,
      ),
    );
  } catch (error) {
    context.logger.error({ err: error, buildId: build.id }, 'the template manager did not take a build');
    await failBuilds(context.db, [build.id], { message: 'the template manager did not take the build' });
    throw templateManagerUnavailable(error);
  }
  context.builds.follow(given);
  // Cancelled, or its template deleted, before the template manager knew of it.
  const now = await findBuild(context.db, build.id);
  if (!now) await context.builds.discard([given]);
  else if (now.failure) await context.builds.cancel(given, now.failure.message);
}

type Source = NonNullable<StartBuild['source']>;

type FoundSource =
  /** `parent` is the build that it goes on from, if it does. */
  | { source: Source; parent?: BuildRow }
  /** `status` if the call itself is wrong; the build alone is, else. */
  | { problem: string; step?: string; status?: number };

async function findSource(context: ApiContext, team: Team, recipe: Recipe): Promise<FoundSource> {
  const { fromImage, fromTemplate } = recipe;
  if (!fromImage && !fromTemplate)
    return { problem: 'must specify either fromImage or fromTemplate', status: 500 };
  if (fromImage && fromTemplate)
    return { problem: 'cannot specify both fromImage and fromTemplate', status: 500 };
  if (fromTemplate) {
    try {
      const { build } = await context.templates.resolve(team, fromTemplate);
      return { source: { case: 'parentBuildId', value: build.id }, parent: build };
    } catch (error) {
      if (error instanceof IsletError) return { problem: error.message, step: 'base' };
      throw error;
    }
  }
  return { source: { case: 'image', value: imageOf(fromImage as string, recipe.fromImageRegistry) } };
}

function imageOf(reference: string, registry: Recipe['fromImageRegistry']): templateProto.Image {
  const image = create(templateProto.ImageSchema, { reference });
  switch (registry?.type) {
    case 'registry': {
      const { username, password } = registry;
      image.credentials = {
        case: 'basic',
        value: create(templateProto.Image_BasicSchema, { username, password }),
      };
      break;
    }
    case 'aws': {
      const {
        awsAccessKeyId: accessKeyId,
        awsSecretAccessKey: secretAccessKey,
        awsRegion: region,
      } = registry;
      image.credentials = {
        case: 'aws',
        value: create(templateProto.Image_AwsSchema, { accessKeyId, secretAccessKey, region }),
      };
      break;
    }
    case 'gcp': {
      const { serviceAccountJson } = registry;
      image.credentials = {
        case: 'gcp',
        value: create(templateProto.Image_GcpSchema, { serviceAccountJson }),
      };
    }
  }
  return image;
}

function toStep({ type, args, filesHash, force }: NonNullable<Recipe['steps']>[number]): templateProto.Step {
  return create(templateProto.StepSchema, {
    type,
    args: args ?? [],
    ...(filesHash && { filesHash }),
    force: force ?? false,
  });
}

function checkFiles({ steps }: Recipe): void {
  for (const [index, { filesHash }] of steps?.entries() ?? []) {
    if (filesHash && !FILES_HASH.test(filesHash)) {
      throw invalidFilesHashInStep(index + 1);
    }
  }
}

/** A running build whose tags this one takes over would be out of date before it is ready. */
async function replaceOthers(context: ApiContext, team: Team, build: BuildDetail): Promise<void> {
  const unfinished = await listUnfinishedBuilds(context.db, team.id);
  const tags = unfinished.find(({ id }) => id === build.id)?.tags ?? [];
  const replaced = unfinished.filter(
    (other) =>
      other.id !== build.id &&
      other.status === 'building' &&
      other.templateId === build.templateId &&
      other.tags.some((tag) => tags.includes(tag)),
  );
  await Promise.all(
    replaced.map((other) =>
      context.builds.cancel(other, 'a newer build of the same template took its place'),
    ),
  );
}

/** SDKs before 2.3.0 were made for builds whose steps run as root. */
export function isLegacySdk(userAgent: string | undefined): boolean {
  const version = /\be2b-(?:js|python)-sdk\/(\d+)\.(\d+)/.exec(userAgent ?? '');
  if (!version) return false;
  const [major = 0, minor = 0] = version.slice(1).map(Number);
  return major < 2 || (major === 2 && minor < 3);
}
