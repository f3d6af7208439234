import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { MachinePrograms } from '@islet/driver-microvm';
import type { UpConfig } from './up/config.ts';

/** Files that ship with Islet, as the build lays them out beside the bundle. */
export interface Layout {
  migrationsDir: string;
  templatesDir: string;
  guestDir: string;
  /** The program of the thread that serves virtual machines their volumes. */
  volumeServer: string;
  /** The program of the thread that looks at checkpoints. */
  checkpointReader: string;
  /** The program of the threads that look at uploaded archives. */
  archiveInspector: string;
  /** The program of the thread that keeps what happens. */
  history: string;
  /** The program of the gateway that gated sandboxes reach the world by. */
  egressGateway: string;
  /** The program of the thread of the edge and the node's proxy. */
  proxies: string;
  /** Kernel and initial files of virtual machines; there where `./islet setup --with-microvm` has made them. */
  machinesDir: string;
}

/** @throws Error if the build is missing: the guest files exist in dist/ only. */
export function findLayout(moduleUrl: string): Layout {
  const here = dirname(fileURLToPath(moduleUrl));
  // The bundle's entry lies in dist/, its chunks in a folder of it; from its source (tests), dist/ is at the checkout's root.
  const candidates = [here, join(here, '..'), join(here, '../../../dist')];
  const dist = candidates.find((dir) => existsSync(join(dir, 'guest'))) ?? join(here, '../../../dist');
  const layout = {
    migrationsDir: join(dist, 'migrations'),
    templatesDir: join(dist, 'templates'),
    guestDir: join(dist, 'guest'),
    volumeServer: join(dist, 'islet/volume-server.mjs'),
    checkpointReader: join(dist, 'islet/checkpoint-reader.mjs'),
    archiveInspector: join(dist, 'islet/archive-inspector.mjs'),
    history: join(dist, 'islet/history.mjs'),
    egressGateway: join(dist, 'islet/egress-gateway.mjs'),
    proxies: join(dist, 'islet/proxies.mjs'),
  };
  const missing = Object.values(layout).find((dir) => !existsSync(dir));
  if (missing) throw new Error(`${missing} is missing: run \`npm run build\`, or start Islet with ./islet`);
  return { ...layout, machinesDir: join(dist, 'microvm') };
}

/** What virtual machines are made with: `kernel` in place of the one that the setup lays out. */
export function machinePrograms(
  { machinesDir }: Layout,
  { firecracker, kernel }: Pick<UpConfig, 'firecracker' | 'kernel'>,
): MachinePrograms {
  return {
    kernel: kernel ?? join(machinesDir, 'vmlinux'),
    initrd: join(machinesDir, 'initrd'),
    firecracker,
  };
}
