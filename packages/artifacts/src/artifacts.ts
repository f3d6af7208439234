import type { Readable } from 'node:stream';

/** An archive that a client uploaded for COPY steps. Teams never see each other's, whatever hash they name. */
export interface ArtifactKey {
  /** A UUID. */
  teamId: string;
  /** 64 lower-case hexadecimal digits, chosen by the client. */
  hash: string;
}

/** What the holder of a signed address may do: store one archive. */
export interface UploadGrant extends ArtifactKey {
  /** Longest archive that is taken, bytes as they are sent. */
  maxBytes: number;
  /** Unix milliseconds. */
  expiresAtMs: number;
}

export interface PruneResult {
  archives: number;
  bytes: number;
}

/** Keeps the archives of COPY steps. Adapters: a directory; an object store fits too, since clients upload to a signed address. */
export interface ArtifactStore {
  /** Whether an archive is stored in full; being asked for counts as being used. */
  has(key: ArtifactKey): Promise<boolean>;
  /**
   * Stores what `content` yields, in place of an older one; when it returns a crash does not lose it. Where `content` or
   * `accept` throws, nothing is changed, and the error is thrown on.
   * @param accept looks at the whole archive, a file, before anyone else can have it; absent: any content will do
   */
  put(
    key: ArtifactKey,
    content: AsyncIterable<Uint8Array>,
    accept?: (file: string) => Promise<void>,
  ): Promise<void>;
  /** The archive's bytes, or undefined if there is none. Replacing or deleting it meanwhile does not disturb the reader. */
  open(key: ArtifactKey): Promise<Readable | undefined>;
  /** Forgets an archive; one that is not there is no error. */
  delete(key: ArtifactKey): Promise<void>;
  /**
   * An absolute address to which a client that has no other credentials may PUT the archive.
   * @param origin where the client reaches this API, such as `http://localhost:3000`; object stores have their own
   */
  sign(grant: UploadGrant, origin: string): Promise<string>;
  /** What a team's archives take, bytes. */
  bytesOf(teamId: string): Promise<number>;
  /** Forgets what was not used since that time (Unix milliseconds), and uploads that broke off. */
  prune(unusedSinceMs: number): Promise<PruneResult>;
}
