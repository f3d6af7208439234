export interface LayerRequest {
  /** Names what the layer is made of. */
  key: string;
  /** Written beside the layer, for people. */
  description: Record<string, string>;
  /** Called if another process is already making this layer. */
  onWait: () => void;
  /** Make it again even if it is there, unless it was made for this very build (which then goes on after a crash). */
  freshFor?: string | undefined;
  /** Of its content, if that is known already. */
  digest?: string;
}

export interface Layer {
  /** Names this very content: a layer that is made again gets another id. */
  id: string;
  rootfsDir: string;
  /** Whether it was there before. */
  cached: boolean;
  /** What it takes on the disk. */
  bytes: number;
  /** Of its content: SHA-256 in hex. */
  digest: string;
}

/** What a store asks of the file system that it is on. */
export interface LayerDisk {
  /** Writes out everything of the file system that `path` is on. */
  syncFs(path: string): Promise<void>;
  /** Bytes that a tree takes. */
  diskUsage(path: string): Promise<number>;
  /** SHA-256, in hex, of a tree: names, content, kinds, modes, owners, times and extended attributes of all that is in it. */
  contentDigest(path: string): Promise<string>;
}
