import { mkdirSync } from 'node:fs';
import { posix } from 'node:path';
import type { VolumeMount } from '../init/request.ts';
import type { Mounts } from '../native/mounts.ts';

const NFS_PORT = 2049;

/**
 * How long an answer is waited for before it is asked for again, and a connection may be silent before it is asked whether it is still
 * there. A machine that was saved while it waited goes on waiting for no longer than this if it is resumed.
 */
const ANSWER_S = 1;

/**
 * NFSv3 over TCP, as a file system that others write to at the same time: nothing is kept without asking whether it is still so, and
 * what is written is with the server when the call returns. Calls wait for a server that is gone until it is back: a machine is paused, resumed elsewhere, and does not
 * notice. Locks stay inside the machine.
 */
const OPTIONS = [
  ...['vers=3', 'proto=tcp', `port=${NFS_PORT}`, 'mountproto=tcp', `mountport=${NFS_PORT}`, 'mountvers=3'],
  ...['hard', 'nolock', 'noacl', 'nordirplus', 'sync', 'noac', 'lookupcache=none', 'sec=sys'],
  `timeo=${10 * ANSWER_S}`,
  'retrans=15',
];

/** Volumes that the machine does not see but is served over the network. They are mounted in a directory that holds nothing else. */
export class ServedVolumes {
  readonly #directory: string;
  readonly #mounted = new Set<string>();
  readonly #mounts: Pick<Mounts, 'mount' | 'remount'>;
  #prepared = false;

  constructor(directory: string, mounts: Pick<Mounts, 'mount' | 'remount'>) {
    this.#directory = directory;
    this.#mounts = mounts;
  }

  /** Mounts those that have a target, and are not mounted yet, by their ids. @throws SystemError */
  mount(volumes: readonly VolumeMount[]): void {
    const mounts = this.#mounts;
    const missing = volumes.filter(({ id, target }) => target !== undefined && !this.#mounted.has(id));
    if (missing.length === 0) return;
    if (this.#prepared) mounts.remount(this.#directory, ['nosuid', 'nodev']);
    // The image that the directory is in cannot be written to.
    else mounts.mount('volumes', this.#directory, 'tmpfs', 'size=64k,mode=755', ['nosuid', 'nodev']);
    this.#prepared = true;
    try {
      for (const { id, target = '' } of missing) {
        if (this.#mounted.has(id)) continue;
        const point = posix.join(this.#directory, id);
        mkdirSync(point, { recursive: true });
        const address = target.slice(0, target.indexOf(':'));
        mounts.mount(target, point, 'nfs', [...OPTIONS, `addr=${address}`].join(','), ['nosuid', 'nodev']);
        this.#mounted.add(id);
      }
    } finally {
      mounts.remount(this.#directory, ['readonly', 'nosuid', 'nodev']);
    }
  }
}
