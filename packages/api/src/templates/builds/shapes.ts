import type { MessageInitShape } from '@bufbuild/protobuf';
import type { templateProto } from '@islet/contracts';
import { type Static, Type } from 'typebox';
import { KIB, named } from '../../http/caps.ts';
import { BuildStatus } from '../shapes.ts';

export type StartBuild = Exclude<
  MessageInitShape<typeof templateProto.StartBuildRequestSchema>,
  { $typeName: string }
>;

/** Clients in other languages send null for what they leave out. */
const optional = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Optional(Type.Union([schema, Type.Null()]));

/** The longest is a service account's JSON with its key. */
const Credential = Type.String({ maxLength: 16 * KIB });

const Registry = Type.Union([
  Type.Object({ type: Type.Literal('registry'), username: Credential, password: Credential }),
  Type.Object({
    type: Type.Literal('aws'),
    awsAccessKeyId: Credential,
    awsSecretAccessKey: Credential,
    awsRegion: Credential,
  }),
  Type.Object({ type: Type.Literal('gcp'), serviceAccountJson: Credential }),
]);

/** Linux passes a program no argument longer than that. */
const Command = Type.String({ maxLength: 128 * KIB });
/** With four arguments each they have as many values as a recipe may have. */
const MOST_STEPS = 2000;

const Step = Type.Object({
  type: Type.String({ minLength: 1, maxLength: 100 }),
  args: optional(Type.Array(Command, { maxItems: 1000 })),
  filesHash: optional(named()),
  force: optional(Type.Boolean()),
});

/** How a template is built: what to begin with, and what to do then. */
export const RecipeShape = Type.Object({
  fromImage: optional(Type.String({ maxLength: 1024 })),
  fromTemplate: optional(named()),
  fromImageRegistry: optional(Registry),
  force: optional(Type.Boolean()),
  steps: optional(Type.Array(Step, { maxItems: MOST_STEPS })),
  startCmd: optional(Command),
  readyCmd: optional(Command),
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
