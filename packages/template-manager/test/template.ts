import { randomBytes, randomUUID } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { templateProto } from '@islet/contracts';
import { expect } from 'vitest';
import type { Site } from './site.ts';

export type StepInit = MessageInitShape<typeof templateProto.StepSchema>;
export type RequestInit = MessageInitShape<typeof templateProto.StartBuildRequestSchema>;

export const runStep = (command: string, user?: string): StepInit => ({
  type: 'RUN',
  args: user === undefined ? [command] : [command, user],
});
export const step = (type: string, args: string[], filesHash?: string): StepInit => ({
  type,
  args,
  ...(filesHash === undefined ? {} : { filesHash }),
});
export const env = (...args: string[]): StepInit => ({ type: 'ENV', args });

/** Stores an archive as a client's upload does. @returns the hash by which COPY steps name it. */
export async function upload(
  site: Site,
  teamId: string,
  archive: AsyncIterable<Uint8Array>,
): Promise<string> {
  const hash = randomBytes(32).toString('hex');
  await site.uploads.put({ teamId, hash }, archive);
  return hash;
}

export interface TemplateWish extends Omit<RequestInit, 'source' | 'buildId' | '$typeName' | '$unknown'> {
  /** A ready build to build on. */
  parent?: string;
  /** An image to build on; absent as well: the base template's. */
  image?: MessageInitShape<typeof templateProto.ImageSchema>;
}

export interface BuiltTemplate {
  buildId: string;
  state: templateProto.WatchBuildResponse['state'];
  logs: templateProto.Log[];
  messages: string[];
}

/** Starts a build. @returns its id. */
export async function startBuild(site: Site, wish: TemplateWish): Promise<string> {
  const { parent, image = { reference: 'e2bdev/base' }, ...rest } = wish;
  const buildId = randomUUID();
  await site.client.startBuild({
    templateId: 'template0under0test0',
    teamId: randomUUID(),
    cpuCount: 2,
    memoryMb: 512,
    freeDiskMb: 512,
    diskLimitMb: 10_240,
    ...rest,
    buildId,
    source: parent === undefined ? { case: 'image', value: image } : { case: 'parentBuildId', value: parent },
  });
  return buildId;
}

/** Waits until a build has ended. */
export async function finishBuild(site: Site, buildId: string): Promise<BuiltTemplate> {
  let state: templateProto.WatchBuildResponse['state'] = { case: undefined };
  for await (const response of site.client.watchBuild({ buildId })) state = response.state;
  const { entries } = await site.client.getBuildLogs({ buildId, offset: 0, limit: 10_000 });
  return { buildId, state, logs: entries, messages: entries.map(({ message }) => message) };
}

export async function buildTemplate(site: Site, wish: TemplateWish): Promise<BuiltTemplate> {
  return finishBuild(site, await startBuild(site, wish));
}

/** The messages of a build's log. */
export async function logsOf(
  site: Site,
  buildId: string,
  { offset = 0, limit = 10_000 }: { offset?: number; limit?: number } = {},
): Promise<string[]> {
  const { entries } = await site.client.getBuildLogs({ buildId, offset, limit });
  return entries.map(({ message }) => message);
}

/** Waits until a build that runs has logged something. */
export async function untilLogged(site: Site, buildId: string, pattern: RegExp): Promise<void> {
  await expect.poll(() => logsOf(site, buildId)).toContainEqual(expect.stringMatching(pattern));
}
