import type { ProcessRef } from '@islet/host';

/** All that a driver needs to start one sandbox. */
export interface MachineSpec {
  id: string;
  /** The sandbox's own folder on the host; the driver keeps what it writes in it. */
  dir: string;
  /** The template's root file system, shared by all its sandboxes and never written. */
  rootfsDir: string;
  /** What is seen at /opt/islet inside: node, its libraries and envd. Read-only. */
  guestDir: string;
  /**
   * A directory on the host that is seen at /opt/islet/volumes inside, with what is mounted below it before the start or at any
   * time after. Absent: there is none. A snapshot restores only with it where it was taken with it.
   */
  volumesDir?: string;
  /** Name of the network namespace that holds the sandbox's eth0. */
  netns: string;
  cpuCount: number;
  memoryMb: number;
  /**
   * Size of the root file system as the sandbox sees it, MiB: what the template's files take and the free space. A snapshot
   * keeps the size that it was booted with, whatever is said here when it is restored. Undefined only with `writableRoot`,
   * which is as big as the file system that it is on.
   */
  diskSizeMb: number | undefined;
  /** What the template's files take of it, MiB; only asked for to boot. */
  diskUsedMb?: number | undefined;
  /**
   * Where the machine's files are kept when it has ended, for builds: absent, they end with it. `rootfsDir` says nothing
   * then. Such a machine cannot be saved.
   */
  writableRoot?: WritableRoot;
  /** Nobody waits for it: until `thaw` it gets the processor time that others leave. */
  isAhead?: boolean;
}

/** A root file system in layers, as overlayfs takes them. */
export interface WritableRoot {
  /** Never written; the topmost first. */
  lowerDirs: readonly string[];
  /**
   * An image of a file system that takes what the machine writes, and with it has a size. It is mounted for the machine alone, and
   * as long as that lives. Absent: the machine writes to the host's own file system.
   */
  image?: string | undefined;
  /** Takes everything that changes. With an image: from the root of that, as is `workDir`. */
  upperDir: string;
  /** Empty, on the same file system as `upperDir`; left with overlayfs's own files in it. */
  workDir: string;
}

/** A started sandbox as its driver knows it; survives as JSON, so that another process can adopt it. */
export interface Machine {
  id: string;
  dir: string;
  /** The process whose end is the sandbox's end. */
  main: ProcessRef;
  /** Processes beside it that must be gone before the sandbox's resources are free. */
  companions: ProcessRef[];
}

/** What can be asked of a driver's sandboxes, ms. */
export interface Pace {
  /** From a boot to the first answer of envd, at most. */
  bootMs: number;
  /** From a restore to the first answer of envd, at most. */
  restoreMs: number;
}

/**
 * How a sandbox is isolated. Everything above this interface is the same for all drivers.
 * Every method may be called for several sandboxes at once; for one sandbox the caller orders them.
 */
export interface SandboxDriver {
  readonly name: string;
  /** Names the runtime's build: a snapshot restores only under the runtime that wrote it. */
  readonly runtimeDigest: string;
  readonly pace: Pace;
  /** True if a machine has a clock of its own, which goes on from when it was saved until envd is told the time. */
  readonly ownClock: boolean;
  /**
   * True if a machine's own kernel keeps its TCP connections while it is saved. Elsewhere all have to be closed before
   * `checkpoint` and `snapshot`.
   */
  readonly keepsConnections: boolean;
  /**
   * True if a restored machine opens files of its volumes again by name: one that is gone keeps it from being saved, or from going
   * on.
   */
  readonly reopensFiles: boolean;
  /** Starts from the root file system alone: envd boots. */
  boot(spec: MachineSpec, signal?: AbortSignal): Promise<Machine>;
  /**
   * Does the part of `restore` that is the same for every snapshot of such a machine; `restore` of the same spec goes on from
   * there, `release` frees it. Absent if there is no such part.
   */
  prepare?(spec: MachineSpec, signal?: AbortSignal): Promise<Machine>;
  /**
   * Starts from a snapshot: memory and files go on from where they were.
   * @throws DamagedSnapshotError if files in folders of it, which are the driver's to check, are not as they were written.
   * MissingFileError if it needs a file of a volume that is gone, see `reopensFiles`.
   */
  restore(spec: MachineSpec, snapshotDir: string, signal?: AbortSignal): Promise<Machine>;
  /**
   * Writes memory and files into `snapshotDir` and ends the sandbox. Without `keepsConnections` nobody outside may have a
   * TCP connection to it, nor it to anybody: gVisor cuts it, and a program that had used it may spin after the restore. See
   * `waitForQuiet`. If it fails the sandbox goes on, or is lost: ask `isAlive`.
   */
  checkpoint(machine: Machine, snapshotDir: string, signal?: AbortSignal): Promise<void>;
  /**
   * Does what `checkpoint` does behind the machine's end: for one whose caller was killed while the machine wrote. Safe to
   * repeat. Absent if nothing is left to do then.
   * @throws DamagedSnapshotError if the machine was killed before it had written all
   */
  finishCheckpoint?(snapshotDir: string): Promise<void>;
  /**
   * When the machine of a snapshot was stopped, Unix ms; undefined if the file system does not tell. By the clock that programs
   * in it see, time goes on until it is restored. Absent if that clock stands still.
   */
  stoppedAt?(snapshotDir: string): Promise<number | undefined>;
  /**
   * Writes memory and files into `snapshotDir`; the sandbox is stopped meanwhile and goes on from the same instant. The
   * same holds for connections as with `checkpoint`. Where it fails the sandbox may be lost: ask `isAlive`.
   */
  snapshot(machine: Machine, snapshotDir: string, signal?: AbortSignal): Promise<void>;
  isAlive(machine: Machine): boolean;
  /** Has an init process go on that was stopped from inside. Absent if the machine's kernel does not let anybody stop it. */
  wake?(machine: Machine): Promise<void>;
  /**
   * Has a machine stand still until `thaw`: it runs no instruction, its timers wait, and what is sent to it meanwhile is there
   * when it goes on. All else can be asked of it as before but to be saved. Safe to repeat.
   */
  freeze(machine: Machine): Promise<void>;
  /** Has a machine go on that stands still, with as much of the processors as any other; nothing else to one that runs. */
  thaw(machine: Machine): Promise<void>;
  /**
   * True if nothing runs in a machine but what its runtime does by itself; few and short runs of programs may pass
   * unseen. Absent if the driver cannot tell.
   */
  isStill?(machine: Machine): boolean;
  /**
   * Somebody waits for something of a machine, or nobody does. Until this is called after its start, or after it went on, it
   * is given all that it could need. Absent if that makes no difference.
   */
  expect?(machine: Machine, wanted: boolean): void;
  /** Takes over a live machine of an earlier process; one that stands still, or was stopped to be saved, goes on. */
  adopt(machine: Machine): Promise<void>;
  /** Ends the sandbox at once; when it returns, nothing of it runs. */
  kill(machine: Machine): Promise<void>;
  /** Frees what the runtime keeps of a sandbox that no longer runs (or never did). Safe to repeat. */
  release(id: string): Promise<void>;
  /**
   * True if the kernel's OOM killer struck in the sandbox's cgroup. It may take a process that leaves the rest of the
   * sandbox standing but stuck, so such a sandbox has to be ended. To be asked before `release`.
   */
  wasOutOfMemory(id: string): Promise<boolean>;
  /** Processor time of the sandbox and its runtime until now, ms; undefined if it has ended, or nobody counts. */
  processorMs(id: string): number | undefined;
  /** Memory that the sandbox and its runtime hold now, bytes; 0 if nobody counts. */
  memoryUsedBytes(id: string): Promise<number>;
  /** Ids the runtime knows of, alive or not: for finding what belongs to nobody. */
  list(): Promise<string[]>;
  /** Frees what the driver itself holds on the host. No sandbox may be left. */
  close(): Promise<void>;
}
