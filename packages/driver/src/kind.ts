import type { Exec } from '@islet/host';
import type { Logger } from '@islet/telemetry';
import type { SandboxDriver } from './driver.ts';

/** A host on which it is looked whether a driver runs. */
export interface DriverHost {
  exec: Exec;
  logger: Logger;
}

/** What a driver is opened with. */
export interface DriverSite extends DriverHost {
  /** Short name that sets this Islet's cgroups apart from another's: theirs are `islet-<instance>/<machine>`. */
  instance: string;
  /** Volatile state, lost at a reboot. */
  runtimeDir: string;
  /** Kept over restarts; on the file system of machines and snapshots. */
  dataDir: string;
}

/** A driver that was found to run on this host. Nothing of it runs yet. */
export interface FoundDriver {
  /** For people: how slow its sandboxes are here, and why. Undefined if they are not. */
  slowness?: string | undefined;
  /** @throws Error with what is missing on the host. */
  open(site: DriverSite): Promise<SandboxDriver>;
}

/** A driver that Islet has, before it is known whether it runs on this host. */
export interface DriverKind {
  /** The name of the drivers that it opens, by which it is asked for. */
  readonly name: string;
  /** How its machines use their network slots: the slot's interface as it is, or a tap beside it in the namespace. */
  readonly attachment: 'interface' | 'tap';
  /** How its machines get at their volumes: they see `MachineSpec.volumesDir`, or are served them in their network slot. */
  readonly volumes: 'seen' | 'served';
  /** True if its machines boot on a `WritableRoot`, as builds have them. */
  readonly writesLayers: boolean;
  /** For one that was asked for by name. @throws Error with what is missing on the host. */
  find(host: DriverHost): Promise<FoundDriver>;
  /**
   * For one that nobody asked for: undefined if it is not set up, or would be slow.
   * @throws Error if what its options name cannot be used.
   */
  findIfFit(host: DriverHost): Promise<FoundDriver | undefined>;
}
