import type { Exec } from '@islet/host';
import type { Logger } from '@islet/telemetry';
import type { Probe } from './probe.ts';
import type { Vmm } from './vmm.ts';

/** A VMM that runs machines on this host. */
export interface FoundVmm {
  /** For people: how slow machines are, and why. Undefined if they are not. */
  slowness?: string | undefined;
  open(exec: Exec, logger: Logger): Promise<Vmm>;
}

/** One of the programs that can run machines, before it is known whether it does on this host. */
export interface Variant {
  /** Why it need not be tried; undefined if its program is there. */
  missing(): Promise<string | undefined>;
  /** Boots a guest under KVM, if that was not done since the host started. */
  probeKvm(): Promise<Probe>;
  readonly onKvm: FoundVmm;
  /** For a host where KVM does not work, as `kvm` says. @throws Error if machines do not run without. */
  withoutKvm(kvm: Probe): Promise<FoundVmm>;
}
