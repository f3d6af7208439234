/** What the host asks the program inside a build's sandbox to do. Paths are the sandbox's. */
export type InsideTask =
  | {
      kind: 'copy';
      archive: string;
      /** As the client wrote it: relative to the archive, perhaps with a pattern at its end. */
      source: string;
      /** A trailing slash means: into this directory. */
      destination: string;
      /** What a relative destination starts at; absent: the user's home. */
      workdir: string | undefined;
      user: string;
      /** `user:group`; absent: `user`'s. */
      owner: string | undefined;
      mode: number | undefined;
    }
  | { kind: 'workdir'; path: string; user: string }
  | { kind: 'user'; name: string; admin: boolean }
  /** `files`: a file with `ProvisionFiles` as JSON, in a folder of its own, which is removed. */
  | { kind: 'provision'; files: string }
  | { kind: 'configure'; user: string }
  /** Fails if the disk has no room left. */
  | { kind: 'look-for-room' };

/** Texts that every template's root file system gets. */
export interface ProvisionFiles {
  /** /etc/profile */
  profile: string;
  /** Of /etc/skel, by name. */
  skeleton: Readonly<Record<string, string>>;
  /** Certificates that programs trust if the image brings none; absent: none are known. */
  certificates: string | undefined;
}

/** The task cannot be done, for a reason that the template's author can mend. */
export class TaskError extends Error {
  override readonly name = 'TaskError';
}
