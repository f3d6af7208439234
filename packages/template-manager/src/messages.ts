import type { MessageInitShape } from '@bufbuild/protobuf';
import { fieldTooLow, notAnId, sourceMissing, templateProto, toConnectError } from '@islet/contracts';
import type { LogLevel } from './builds/build-log.ts';
import type { BuildSpec, BuildState, ImageCredentials } from './builds/build-spec.ts';

/** Build ids name folders. */
const ID = /^[0-9a-zA-Z][0-9a-zA-Z_-]{0,63}$/;

/** @throws ConnectError invalid_argument naming the field that is wrong. */
export function toSpec(request: templateProto.StartBuildRequest): BuildSpec {
  for (const field of ['buildId', 'templateId', 'teamId'] as const) {
    if (!ID.test(request[field])) throw toConnectError(notAnId(field, request[field]));
  }
  const { templateId, buildId, teamId, cpuCount, memoryMb, freeDiskMb, diskLimitMb, force, legacyUser } =
    request;
  if (cpuCount < 1) throw toConnectError(fieldTooLow('cpuCount', 1));
  if (memoryMb < 128) throw toConnectError(fieldTooLow('memoryMb', 128));
  if (diskLimitMb < 1) throw toConnectError(fieldTooLow('diskLimitMb', 1));
  return {
    ...{ templateId, buildId, teamId, cpuCount, memoryMb, freeDiskMb, diskLimitMb, force, legacyUser },
    source: toSource(request.source),
    steps: request.steps.map(({ type, args, filesHash, force }) => ({ type, args, filesHash, force })),
    startCommand: request.startCommand || undefined,
    readyCommand: request.readyCommand || undefined,
  };
}

function toSource(source: templateProto.StartBuildRequest['source']): BuildSpec['source'] {
  switch (source.case) {
    case 'parentBuildId':
      if (!ID.test(source.value)) throw toConnectError(notAnId('parentBuildId', source.value));
      return { kind: 'build', buildId: source.value };
    case 'image': {
      const { reference, credentials } = source.value;
      return { kind: 'image', image: { reference, credentials: toCredentials(credentials) } };
    }
    default:
      throw toConnectError(sourceMissing());
  }
}

function toCredentials(credentials: templateProto.Image['credentials']): ImageCredentials | undefined {
  switch (credentials.case) {
    case 'basic': {
      const { username, password } = credentials.value;
      return { kind: 'basic', username, password };
    }
    case 'aws': {
      const { accessKeyId, secretAccessKey, region } = credentials.value;
      return { kind: 'aws', accessKeyId, secretAccessKey, region };
    }
    case 'gcp':
      return { kind: 'gcp', serviceAccountJson: credentials.value.serviceAccountJson };
    default:
      return undefined;
  }
}

export function toState(
  state: BuildState,
): MessageInitShape<typeof templateProto.WatchBuildResponseSchema>['state'] {
  switch (state.kind) {
    case 'building':
      return { case: 'building', value: {} };
    case 'failed':
      return { case: 'failure', value: { message: state.message, step: state.phase } };
    case 'ready': {
      const { envdVersion, diskSizeMb, defaultUser, defaultWorkdir } = state.outcome;
      return { case: 'ready', value: { envdVersion, diskSizeMb, defaultUser, defaultWorkdir } };
    }
  }
}

const { LogLevel: Level } = templateProto;

const LEVELS = { debug: Level.DEBUG, info: Level.INFO, warn: Level.WARN, error: Level.ERROR } as const;

export function toLevel(level: LogLevel): templateProto.LogLevel {
  return LEVELS[level];
}

/** Unspecified: all of them. */
export function fromLevel(level: templateProto.LogLevel): LogLevel {
  const names: LogLevel[] = ['info', 'warn', 'error'];
  return names.find((name) => LEVELS[name] === level) ?? 'debug';
}
