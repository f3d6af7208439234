import { Type } from 'typebox';

const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);
const dateTime = () => Type.String({ format: 'date-time' });

export const BuildStatus = Type.Union([
  Type.Literal('building'),
  Type.Literal('waiting'),
  Type.Literal('ready'),
  Type.Literal('error'),
]);

export const TemplateShape = Type.Object({
  templateID: Type.String(),
  buildID: Type.String(),
  cpuCount: Type.Integer(),
  memoryMB: Type.Integer(),
  diskSizeMB: Type.Integer(),
  public: Type.Boolean(),
  aliases: Type.Array(Type.String(), { deprecated: true }),
  names: Type.Array(Type.String()),
  createdAt: dateTime(),
  updatedAt: dateTime(),
  createdBy: nullable(Type.Object({ id: Type.String(), email: Type.Null() })),
  lastSpawnedAt: nullable(dateTime()),
  spawnCount: Type.Integer(),
  buildCount: Type.Integer(),
  envdVersion: Type.String(),
  buildStatus: BuildStatus,
});

/** What calls before version 3 answer. */
export const TemplateLegacy = Type.Omit(TemplateShape, ['names', 'buildStatus']);

export const TemplateBuild = Type.Object({
  buildID: Type.String(),
  status: BuildStatus,
  createdAt: dateTime(),
  updatedAt: dateTime(),
  finishedAt: Type.Optional(dateTime()),
  cpuCount: Type.Integer(),
  memoryMB: Type.Integer(),
  diskSizeMB: Type.Optional(Type.Integer()),
  envdVersion: Type.Optional(Type.String()),
});

export const TemplateWithBuilds = Type.Object({
  templateID: Type.String(),
  public: Type.Boolean(),
  aliases: Type.Array(Type.String(), { deprecated: true }),
  names: Type.Array(Type.String()),
  createdAt: dateTime(),
  updatedAt: dateTime(),
  lastSpawnedAt: nullable(dateTime()),
  spawnCount: Type.Integer(),
  builds: Type.Array(TemplateBuild),
});

export const TemplateAlias = Type.Object({ templateID: Type.String(), public: Type.Boolean() });

export const TemplateTag = Type.Object({ tag: Type.String(), buildID: Type.String(), createdAt: dateTime() });

export const TemplateUpdate = Type.Object({ public: Type.Optional(Type.Boolean()) });
