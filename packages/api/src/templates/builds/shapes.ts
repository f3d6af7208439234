import type { MessageInitShape } from '@bufbuild/protobuf';
import type { templateProto } from '@islet/contracts';
import { type Static, Type } from 'typebox';
import { BuildStatus } from '../shapes.ts';

export type StartBuild = Exclude<
  MessageInitShape<typeof templateProto.StartBuildRequestSchema>,
  { $typeName: string }
>;

/** Clients in other languages send null for what they leave out. */
const optional = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Optional(Type.Union([schema, Type.Null()]));

const Registry = Type.Union([
  Type.Object({ type: Type.Literal('registry'), username: Type.String(), password: Type.String() }),
  Type.Object({
    type: Type.Literal('aws'),
    awsAccessKeyId: Type.String(),
    awsSecretAccessKey: Type.String(),
    awsRegion: Type.String(),
  }),
  Type.Object({ type: Type.Literal('gcp'), serviceAccountJson: Type.String() }),
]);

const Step = Type.Object({
  type: Type.String({ minLength: 1, maxLength: 100 }),
  args: optional(Type.Array(Type.String())),
  filesHash: optional(Type.String()),
  force: optional(Type.Boolean()),
});

/** How a template is built: what to begin with, and what to do then. */
export const RecipeShape = Type.Object({
  fromImage: optional(Type.String({ maxLength: 1024 })),
  fromTemplate: optional(Type.String()),
  fromImageRegistry: optional(Registry),
  force: optional(Type.Boolean()),
  steps: optional(Type.Array(Step, { maxItems: 10_000 })),
  startCmd: optional(Type.String()),
  readyCmd: optional(Type.String()),
});

export type Recipe = Static<typeof RecipeShape>;

export const LogLevel = Type.Union([
  Type.Literal('debug'),
  Type.Literal('info'),
  Type.Literal('warn'),
  Type.Literal('error'),
]);

export const BuildLogEntry = Type.Object({
  timestamp: Type.String({ format: 'date-time' }),
  level: LogLevel,
  message: Type.String(),
  step: Type.Optional(Type.String()),
});

export const BuildStatusShape = Type.Object({
  templateID: Type.String(),
  buildID: Type.String(),
  status: BuildStatus,
  logs: Type.Array(Type.String(), { deprecated: true }),
  logEntries: Type.Array(BuildLogEntry),
  reason: Type.Optional(
    Type.Object({
      message: Type.String(),
      step: Type.Optional(Type.String()),
      logEntries: Type.Array(BuildLogEntry),
    }),
  ),
});
