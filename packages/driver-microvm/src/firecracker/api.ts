import { constants, type FileHandle, open } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { faultMessage } from './fault.ts';

/** Firecracker refused a call, or went away before it had answered. */
export class FirecrackerError extends Error {
  override readonly name = 'FirecrackerError';
}

export interface MachineConfiguration {
  vcpu_count: number;
  mem_size_mib: number;
}

/** Paths, here and below, are as Firecracker sees them: inside its jail. */
export interface BootSource {
  kernel_image_path: string;
  initrd_path: string;
  boot_args: string;
}

export interface Drive {
  drive_id: string;
  path_on_host: string;
  is_root_device: boolean;
  is_read_only: boolean;
}

export interface NetworkInterface {
  iface_id: string;
  host_dev_name: string;
  guest_mac: string;
}

export interface Balloon {
  amount_mib: number;
  deflate_on_oom: boolean;
  /** Since 1.14: what the guest frees is given back to the host without anybody asking. */
  free_page_reporting: boolean;
}

export interface SnapshotCreate {
  /** `Full`: all of the memory; `Diff`: what was written since the start or the last snapshot. */
  snapshot_type: 'Full' | 'Diff';
  snapshot_path: string;
  mem_file_path: string;
}

export interface SnapshotLoad {
  snapshot_path: string;
  /** `File`: mapped privately, read as the guest needs it. It must not change as long as the machine runs. */
  mem_backend: { backend_type: 'File'; backend_path: string };
  /** Whether `Diff` snapshots can be told from the pages that were only read. */
  track_dirty_pages: boolean;
  resume_vm: boolean;
}

const O_PATH = 0o10000000;
const CONNECT_POLL_MS = 1;
/** A full snapshot writes and syncs all of the memory, up to some gigabytes; everything else is done within milliseconds. */
const ANSWER_TIMEOUT_MS = 120_000;
/** What Firecracker says of a fault is a line; one that was taken over may say anything. */
const MAX_ANSWER_CHARACTERS = 64 * 1024;

/**
 * The part of Firecracker's HTTP API that Islet uses (src/firecracker/swagger/firecracker.yaml of Firecracker). Every method throws
 * `FirecrackerError` with Firecracker's own words if it refuses.
 */
export class FirecrackerApi {
  /** Holds the socket itself: its path may be too long for an address, and its folder belongs to the one who is confined. */
  readonly #socket: FileHandle;

  private constructor(socket: FileHandle) {
    this.#socket = socket;
  }

  /** Connects as soon as Firecracker listens. @throws FirecrackerError where `isAlive` turns false or `deadlineMs` pass before. */
  static async connect(path: string, deadlineMs: number, isAlive: () => boolean): Promise<FirecrackerApi> {
    const deadline = performance.now() + deadlineMs;
    for (;;) {
      let socket: FileHandle | undefined;
      try {
        socket = await open(path, O_PATH | constants.O_NOFOLLOW);
        if (!(await socket.stat()).isSocket()) throw new FirecrackerError(`${path} is not a socket`);
        const api = new FirecrackerApi(socket);
        await api.#call('GET', '/version');
        return api;
      } catch (error) {
        await socket?.close();
        if (!isAlive()) throw new FirecrackerError('Firecracker ended', { cause: error });
        if (performance.now() > deadline) {
          throw new FirecrackerError(`Firecracker does not answer within ${deadlineMs} ms`, { cause: error });
        }
        await sleep(CONNECT_POLL_MS);
      }
    }
  }

  configureMachine(machine: MachineConfiguration): Promise<void> {
    return this.#call('PUT', '/machine-config', machine);
  }

  setBootSource(source: BootSource): Promise<void> {
    return this.#call('PUT', '/boot-source', source);
  }

  /** The guest finds drives in the order in which they are added. */
  addDrive(drive: Drive): Promise<void> {
    return this.#call('PUT', `/drives/${drive.drive_id}`, drive);
  }

  addNetworkInterface(network: NetworkInterface): Promise<void> {
    return this.#call('PUT', `/network-interfaces/${network.iface_id}`, network);
  }

  addEntropyDevice(): Promise<void> {
    return this.#call('PUT', '/entropy', {});
  }

  addBalloon(balloon: Balloon): Promise<void> {
    return this.#call('PUT', '/balloon', balloon);
  }

  start(): Promise<void> {
    return this.#call('PUT', '/actions', { action_type: 'InstanceStart' });
  }

  /** May be repeated: a machine that is in the state already stays in it. */
  setState(state: 'Paused' | 'Resumed'): Promise<void> {
    return this.#call('PATCH', '/vm', { state });
  }

  /** Only of a paused machine. */
  createSnapshot(snapshot: SnapshotCreate): Promise<void> {
    return this.#call('PUT', '/snapshot/create', snapshot);
  }

  /** Only of a Firecracker that has not been told anything yet. If it fails, Firecracker ends. */
  loadSnapshot(snapshot: SnapshotLoad): Promise<void> {
    return this.#call('PUT', '/snapshot/load', snapshot);
  }

  close(): Promise<void> {
    return this.#socket.close();
  }

  #call(method: 'GET' | 'PUT' | 'PATCH', path: string, body?: object): Promise<void> {
    const content = body === undefined ? '' : JSON.stringify(body);
    const headers = body && {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(content),
    };
    return new Promise((resolve, reject) => {
      const call = request({
        ...{ socketPath: `/proc/self/fd/${this.#socket.fd}`, method, path, agent: false },
        ...{ headers: { Accept: 'application/json', ...headers } },
      });
      // For the whole answer: one that comes in drops would never be silent for long.
      const timer = setTimeout(
        () => call.destroy(new Error(`no answer within ${ANSWER_TIMEOUT_MS / 1000} s`)),
        ANSWER_TIMEOUT_MS,
      );
      call.on('close', () => clearTimeout(timer));
      const fail = (reason: string, cause?: unknown) =>
        reject(new FirecrackerError(`${method} ${path}: ${reason}`, { cause }));
      call.on('error', (error) => fail(error.message, error));
      call.on('response', (response) => {
        const status = response.statusCode ?? 0;
        textOf(response).then(
          (answer) =>
            status >= 200 && status < 300 ? resolve() : fail(faultMessage(answer) ?? `status ${status}`),
          (error: Error) => fail(error.message, error),
        );
      });
      call.end(content);
    });
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  let answer = '';
  // Where it is left early, the connection ends with it.
  for await (const piece of response.setEncoding('utf8')) {
    answer += piece as string;
    if (answer.length > MAX_ANSWER_CHARACTERS) throw new Error('an answer without end');
  }
  return answer;
}
