import { Worker } from 'node:worker_threads';
import type { Logger } from '@islet/telemetry';
import type { ServedVolume, VolumeServers } from './volume-servers.ts';

/** A machine, and the network namespace that it is in. */
export interface MachineInNetwork {
  id: string;
  netns: string;
}

/** What the thread is asked. */
export type ThreadRequest = { id: number } & {
  [Method in 'serve' | 'hold' | 'release' | 'stop']: {
    method: Method;
    args: Parameters<VolumeServers[Method]>;
  };
}['serve' | 'hold' | 'release' | 'stop'];

/** What it says: that a request is done, or failed, or what failed for one of its machines. */
export type ThreadMessage = { id: number; error?: unknown } | { machineId: string; failure: unknown };

export interface ThreadPlace {
  /** Where machines find their volumes: an address of every network slot, and a port. */
  address: string;
  port: number;
}

export interface VolumeServerThreadOptions extends ThreadPlace {
  /** The thread's program, as the build lays it out. */
  program: string;
  logger: Logger;
}

interface Asked {
  method: ThreadRequest['method'];
  resolve: () => void;
  reject: (error: unknown) => void;
}

/** How long it is waited for before another try if the thread has ended, ms. */
const RESTART_MS = 1_000;

/**
 * Serves virtual machines their volumes, on a thread of its own: however much they ask for, this one answers its clients. A thread that ends is started
 * again; the machines' kernels wait and ask again.
 */
export class VolumeServerThread {
  readonly #options: VolumeServerThreadOptions;
  /** For a thread that has to begin anew. */
  readonly #served = new Map<string, { machine: MachineInNetwork; volumes: ServedVolume[] }>();
  readonly #asked = new Map<number, Asked>();
  #worker: Worker;
  /** Where it does not, nothing is open or held, and the next one begins with all that is to be served. */
  #runs = false;
  #nextId = 0;
  #closing = false;

  constructor(options: VolumeServerThreadOptions) {
    this.#options = options;
    this.#worker = this.#start();
  }

  /** Serves volumes to a machine from now on, beside those that it is served already. */
  async serve(machine: MachineInNetwork, volumes: readonly ServedVolume[]): Promise<void> {
    if (volumes.length === 0) return;
    const served = this.#served.get(machine.id) ?? { machine, volumes: [] };
    served.volumes.push(...volumes);
    this.#served.set(machine.id, served);
    if (this.#runs) await this.#ask({ method: 'serve', args: [machine, volumes] });
  }

  /** What a machine can mount a volume from. */
  targetOf(volumeId: string): string {
    return `${this.#options.address}:/${volumeId}`;
  }

  /** Begins nothing more for a machine that is about to be saved, and waits for what it has begun. See `Connection.hold`. */
  async hold(machineId: string): Promise<void> {
    if (!this.#served.has(machineId)) return;
    // The next one would not know of it.
    if (!this.#runs) throw endedError();
    await this.#ask({ method: 'hold', args: [machineId] });
  }

  /** Ends `hold`. */
  async release(machineId: string): Promise<void> {
    if (this.#runs && this.#served.has(machineId)) await this.#ask({ method: 'release', args: [machineId] });
  }

  /** Stops serving a machine; nothing of its volumes is open any more when this returns. Safe to repeat. */
  async stop(machineId: string): Promise<void> {
    if (!this.#served.delete(machineId) || !this.#runs) return;
    await this.#ask({ method: 'stop', args: [machineId] });
  }

  /** Nothing may be served any more. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#worker.terminate();
  }

  #ask(request: Pick<ThreadRequest, 'method' | 'args'>): Promise<void> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { method: request.method, resolve, reject });
      this.#worker.postMessage({ id, ...request });
    });
  }

  #start(): Worker {
    const { address, port, program, logger } = this.#options;
    const place: ThreadPlace = { address, port };
    // What it has open of volumes ends with it: they could not be taken away otherwise.
    const worker = new Worker(program, { workerData: place, trackUnmanagedFds: true });
    this.#runs = true;
    worker.on('message', (message: ThreadMessage) => {
      if ('failure' in message) {
        const { machineId, failure } = message;
        logger.error({ err: failure, machineId }, 'a request for a volume failed');
        return;
      }
      const asked = this.#asked.get(message.id);
      this.#asked.delete(message.id);
      if (message.error === undefined) asked?.resolve();
      else asked?.reject(message.error);
    });
    worker.on('error', (error) => logger.error({ err: error }, 'the server of volumes has failed'));
    worker.on('exit', () => this.#onExit());
    return worker;
  }

  #onExit(): void {
    this.#runs = false;
    for (const [id, { method, reject, resolve }] of this.#asked) {
      this.#asked.delete(id);
      if (method === 'stop' || method === 'release') resolve();
      else reject(endedError());
    }
    if (this.#closing) return;
    setTimeout(() => {
      if (this.#closing) return;
      this.#worker = this.#start();
      for (const { machine, volumes } of this.#served.values()) {
        this.#ask({ method: 'serve', args: [machine, volumes] }).catch((error) =>
          this.#options.logger.error(
            { err: error, machineId: machine.id },
            'a machine is left without its volumes',
          ),
        );
      }
    }, RESTART_MS).unref();
  }
}

function endedError(): Error {
  return new Error('the server of volumes has ended, and begins anew: try again in some seconds');
}
