import { createServer, type Server, type Socket } from 'node:net';
import { Connection } from './connection.ts';
import { MAX_TRANSFER_BYTES } from './content.ts';
import { ExportedVolume } from './exported-volume.ts';
import { type KernelFiles, openKernelFiles } from './kernel-files.ts';
import { createListenIn, type ListenIn } from './listen.ts';
import { keyOf, volumePrograms } from './programs.ts';
import { RepeatedCalls } from './repeated-calls.ts';
import { answerCall } from './rpc.ts';
import type { MachineInNetwork, ThreadPlace } from './thread.ts';
import { Turns } from './turns.ts';

/** Beside the bytes that are written: what a call says about itself. */
const MAX_RECORD_BYTES = MAX_TRANSFER_BYTES + 4096;

/** A guest's kernel has one for all its volumes, and another while it mounts one. */
const MOST_CONNECTIONS = 8;

/**
 * Calls that are worked on at once, and those of one machine. Each waits for a disk on a thread of the process's pool, in which others wait, too
 * (`UV_THREADPOOL_SIZE`, 16 as `islet` starts it): a volume whose disk is slow keeps no more of them than this.
 */
const MOST_CALLS = 8;
const MOST_CALLS_OF_ONE = 2;

/** Ports that only a machine's root may call from. */
const PRIVILEGED_PORTS = 1024;

export interface VolumeServersOptions extends ThreadPlace {
  /** Told of what fails for a machine that is no fault of the machine's. */
  onFailure: (machineId: string, error: unknown) => void;
}

/** A volume that a machine is to see. */
export interface ServedVolume {
  volumeId: string;
  /** Where it is mounted on the host. */
  dir: string;
}

/** What one machine is served with. */
interface MachineServer {
  server: Server;
  connections: Set<Connection>;
  exports: Map<string, ExportedVolume>;
  /** It is about to be saved. */
  held: boolean;
}

/**
 * Serves virtual machines their volumes over the network (NFSv3): each has a server of its own that listens in its network slot and
 * nowhere else, and knows no volume but its own.
 */
export class VolumeServers {
  readonly #options: VolumeServersOptions;
  readonly #files: KernelFiles = openKernelFiles();
  readonly #listenIn: ListenIn = createListenIn();
  readonly #machines = new Map<string, MachineServer>();
  readonly #turns = new Turns<string>(MOST_CALLS, MOST_CALLS_OF_ONE);

  constructor(options: VolumeServersOptions) {
    this.#options = options;
  }

  /** Serves volumes to a machine from now on, beside those that it is served already. @throws SystemError */
  async serve({ id, netns }: MachineInNetwork, volumes: readonly ServedVolume[]): Promise<void> {
    const machine = this.#machines.get(id) ?? this.#newServer(id);
    this.#machines.set(id, machine);
    // Before anybody is answered: a machine that goes on asks for its files at once, and would take a refusal for an answer.
    for (const { volumeId, dir } of volumes) {
      const key = keyOf(volumeId);
      if (machine.exports.has(key)) continue;
      machine.exports.set(key, new ExportedVolume(volumeId, dir, this.#files));
    }
    if (!machine.server.listening) await this.#listen(machine.server, netns);
  }

  /** Begins nothing more for a machine that is about to be saved, and waits for what it has begun. See `Connection.hold`. */
  async hold(machineId: string): Promise<void> {
    const machine = this.#machines.get(machineId);
    if (!machine) return;
    machine.held = true;
    await Promise.all([...machine.connections].map((connection) => connection.hold()));
  }

  /** Ends `hold`. */
  release(machineId: string): void {
    const machine = this.#machines.get(machineId);
    if (!machine) return;
    machine.held = false;
    for (const connection of machine.connections) connection.release();
  }

  /** Stops serving a machine; nothing of its volumes is open any more when this returns. Safe to repeat. */
  async stop(machineId: string): Promise<void> {
    const machine = this.#machines.get(machineId);
    if (!machine) return;
    this.#machines.delete(machineId);
    const { server, connections, exports } = machine;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const connection of connections) connection.destroy();
    await Promise.all([...connections].map((connection) => connection.ended));
    await closed;
    for (const volume of exports.values()) volume.close();
  }

  #newServer(id: string): MachineServer {
    const connections = new Set<Connection>();
    const exports = new Map<string, ExportedVolume>();
    const programs = volumePrograms(exports);
    const calls = new RepeatedCalls();
    const carryOut = (record: Buffer) =>
      this.#turns.run(id, () => answerCall(record, programs, (error) => this.#options.onFailure(id, error)));
    const answer = (record: Buffer) => calls.answer(record, carryOut);
    const accept = (socket: Socket) => {
      const isRoots = socket.remotePort !== undefined && socket.remotePort < PRIVILEGED_PORTS;
      // One that was on its way when the machine was stopped finds nobody any more.
      const isServed = this.#machines.get(id) === machine;
      if (!isRoots || !isServed || connections.size >= MOST_CONNECTIONS) {
        socket.on('error', () => undefined);
        socket.resetAndDestroy();
        return;
      }
      const connection = new Connection(socket, MAX_RECORD_BYTES, answer);
      connections.add(connection);
      if (machine.held) void connection.hold();
      void connection.ended.then(() => connections.delete(connection));
    };
    const machine = { server: createServer(accept), connections, exports, held: false };
    return machine;
  }

  async #listen(server: Server, netns: string): Promise<void> {
    const { address, port } = this.#options;
    const descriptor = this.#listenIn(netns, address, port);
    await new Promise<void>((resolve, reject) => {
      server.on('error', reject);
      server.listen({ fd: descriptor }, resolve);
    });
  }
}
