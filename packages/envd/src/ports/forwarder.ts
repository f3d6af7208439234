import { type Forward, openForward } from './forward.ts';
import { type Listener, portsToForward } from './listeners.ts';

/** How often listening sockets are looked for. */
const SCAN_INTERVAL_MS = 1000;

export interface ForwarderDeps {
  listeners: () => Listener[];
  /** The address the gateway sees, undefined while there is none. It changes when the sandbox is restored elsewhere. */
  address: () => string | undefined;
  /** False while no process can be listening at all: then nothing is looked for. */
  hasProcesses: () => boolean;
  /** Ports never forwarded. */
  excluded: ReadonlySet<number>;
  onError: (error: unknown) => void;
}

/** Makes programs that listen on loopback only reachable from outside of the sandbox. */
export class PortForwarder {
  readonly #deps: ForwarderDeps;
  readonly #forwards = new Map<number, Forward>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(deps: ForwarderDeps) {
    this.#deps = deps;
  }

  /** Starts looking, until there is no process left. Does nothing while it is looking already. */
  wake(): void {
    if (this.#timer || this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.scan();
      if (this.#deps.hasProcesses()) this.wake();
    }, SCAN_INTERVAL_MS);
    this.#timer.unref();
  }

  /** Looks now and opens and closes what has changed. */
  scan(): void {
    if (this.#closed) return;
    try {
      this.#apply(this.#wanted(), this.#deps.address());
    } catch (error) {
      this.#deps.onError(error);
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const forward of this.#forwards.values()) forward.close();
    this.#forwards.clear();
  }

  #wanted(): Map<number, string> {
    if (!this.#deps.hasProcesses()) return new Map();
    const ports = portsToForward(this.#deps.listeners(), new Set(this.#forwards.keys()));
    for (const port of this.#deps.excluded) ports.delete(port);
    return ports;
  }

  #apply(wanted: ReadonlyMap<number, string>, address: string | undefined): void {
    for (const [port, forward] of this.#forwards) {
      if (forward.address === address && wanted.get(port) === forward.target) continue;
      forward.close();
      this.#forwards.delete(port);
    }
    if (address === undefined) return;
    for (const [port, target] of wanted) {
      if (this.#forwards.has(port)) continue;
      const forward: Forward = openForward(port, address, target, () => {
        // The program listens there itself by now, or the address is gone: the next scan decides anew.
        forward.close();
        if (this.#forwards.get(port) === forward) this.#forwards.delete(port);
      });
      this.#forwards.set(port, forward);
    }
  }
}
