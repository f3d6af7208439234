import type { DriverKind, FoundDriver } from '@islet/driver';
import { openGvisor } from './gvisor.ts';
import { RepairThread } from './repair-thread.ts';

export interface GvisorKindOptions {
  /** The program of the thread that looks at checkpoints, as the build lays it out. */
  checkpointReader: string;
}

/** Sandboxes under gVisor, which every host can run that Islet can run on. */
export function gvisorKind({ checkpointReader }: GvisorKindOptions): DriverKind {
  const found: FoundDriver = {
    open: (site) => openGvisor({ ...site, checkpoints: new RepairThread({ program: checkpointReader }) }),
  };
  return {
    name: 'gvisor',
    attachment: 'interface',
    volumes: 'seen',
    writesLayers: true,
    find: async () => found,
    findIfFit: async () => found,
  };
}
