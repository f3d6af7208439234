import { createHash } from 'node:crypto';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';

/** SHA-256 in lower-case hexadecimal digits. */
const DIGEST = /^[0-9a-f]{64}$/;

/** Files of a state lie side by side: no name leads out of its folder. */
const FILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

const Runtime = Type.Object({ name: Type.String(), digest: Type.String() });

const ProcessorNeeds = Type.Object({
  /** As container images name it. */
  architecture: Type.String(),
  /** What its programs may have found and gone on to use, in order. */
  features: Type.Array(Type.String()),
});

const SnapshotNeeds = Type.Object({
  runtime: Runtime,
  /** Digest of the node and envd files that its memory maps. */
  guest: Type.String(),
  /** Digest of the root file system that it was started over; the state holds only what changed. */
  rootfs: Type.String(),
  /** Absent in states of earlier versions, which did not write it down. */
  processor: Type.Optional(ProcessorNeeds),
});

const SnapshotSubject = Type.Union([
  Type.Object({ kind: Type.Literal('build'), buildId: Type.String() }),
  Type.Object({ kind: Type.Literal('sandbox'), sandboxId: Type.String(), executionId: Type.String() }),
]);

const SnapshotManifest = Type.Object({
  version: Type.Literal(3),
  subject: SnapshotSubject,
  /** ISO 8601. */
  createdAt: Type.String(),
  needs: SnapshotNeeds,
  /** The build that it goes back to; absent if it was booted from its root file system. */
  parentBuildId: Type.Optional(Type.String()),
  files: Type.Record(Type.String(), Type.Object({ bytes: Type.Number(), crc32: Type.Number() })),
});

/** Names a sandbox runtime's build: a state starts only under the one that wrote it. */
export type Runtime = Static<typeof Runtime>;

export type ProcessorNeeds = Static<typeof ProcessorNeeds>;

/** What there has to be for a state to start. Equal digests name equal things, whatever machine they are on. */
export type SnapshotNeeds = Static<typeof SnapshotNeeds>;

/** Whose state it is. No two states of different subjects have one name, however equal their files are. */
export type SnapshotSubject = Static<typeof SnapshotSubject>;

/** Lies beside a saved state's files, and says what they are. */
export type SnapshotManifest = Static<typeof SnapshotManifest>;

/** All of a manifest but what is found in the files. */
export type SnapshotFacts = Omit<SnapshotManifest, 'version' | 'files'>;

/** A state's name: the SHA-256 of its manifest's text, 64 lower-case hexadecimal digits. */
export function snapshotDigest(manifestText: string): string {
  return createHash('sha256').update(manifestText).digest('hex');
}

export function isSnapshotDigest(text: string): boolean {
  return DIGEST.test(text);
}

/** Undefined if the text is no manifest that this Islet reads. */
export function parseManifest(text: string): SnapshotManifest | undefined {
  const value = parseJson(text);
  if (!Value.Check(SnapshotManifest, value)) return undefined;
  return Object.keys(value.files).every((name) => FILE_NAME.test(name)) ? value : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
