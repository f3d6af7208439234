import { Type } from 'typebox';
import { HEAD_BYTES, named } from '../http/caps.ts';

/** The form of names; what does not match it is refused with the text that clients know. */
export const VOLUME_NAME = /^[a-zA-Z0-9_-]{1,128}$/;

export const NewVolume = Type.Object({
  name: named({ description: `Letters, digits, _ and -; at most 128: ${VOLUME_NAME.source}` }),
});

export const VolumeShape = Type.Object({ volumeID: Type.String(), name: Type.String() });

export const VolumeAndToken = Type.Object({
  volumeID: Type.String(),
  name: Type.String(),
  token: Type.String({ description: 'For /volumecontent, as a bearer token' }),
  domain: Type.Optional(Type.String({ description: 'The content API is https://api.<domain>' })),
});

export const VolumeParams = Type.Object({ volumeID: Type.String() });

/** Errors of the content API: their code is text. */
export const ContentError = Type.Object({ code: Type.String(), message: Type.String() });

const Id = Type.Integer({ minimum: 0, maximum: 4_294_967_294 });
const Mode = Type.Integer({ minimum: 0, maximum: 0o7777 });

const Path = Type.String({ maxLength: HEAD_BYTES });

export const PathQuery = Type.Object({ path: Path });

export const ListQuery = Type.Object({
  path: Path,
  depth: Type.Integer({ minimum: 1, maximum: 1000, default: 1 }),
});

export const AttributesBody = Type.Object({
  uid: Type.Optional(Id),
  gid: Type.Optional(Id),
  mode: Type.Optional(Mode),
});

export const MakeQuery = Type.Object({
  path: Path,
  uid: Type.Optional(Id),
  gid: Type.Optional(Id),
  mode: Type.Optional(Mode),
  force: Type.Optional(Type.Boolean()),
});

export const EntryStat = Type.Object({
  name: Type.String(),
  type: Type.Union([
    Type.Literal('unknown'),
    Type.Literal('file'),
    Type.Literal('directory'),
    Type.Literal('symlink'),
  ]),
  path: Type.String(),
  size: Type.Integer(),
  mode: Type.Integer({ description: 'Permission bits' }),
  uid: Type.Integer(),
  gid: Type.Integer(),
  atime: Type.String({ format: 'date-time' }),
  mtime: Type.String({ format: 'date-time' }),
  ctime: Type.String({ format: 'date-time', description: 'Of the last change of content or metadata' }),
  target: Type.Optional(Type.String({ description: 'Of a symbolic link' })),
});
