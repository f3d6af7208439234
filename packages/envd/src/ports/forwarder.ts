import { type Forward, openForward } from './forward.ts';
import { type Listener, portsToForward } from './listeners.ts';

/** How often listening sockets are looked for while something happens, ms. */
const SCAN_INTERVAL_MS = 1_000;

/** Scans that find nothing new until it is taken that nothing happens. */
const EAGER_SCANS = 30;

/** How often they are looked for then: a scan is all that a sandbox does whose programs only wait. */
const CALM_INTERVAL_MS = 5_000;

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
  /** In a row, that found nothing new. */
  #vainScans = 0;
  #closed = false;

  constructor(deps: ForwarderDeps) {
    this.#deps = deps;
  }

  /** Something happens: it looks eagerly for a while, and then seldom, until there is no process left. */
  wake(): void {
    const wasCalm = this.#vainScans >= EAGER_SCANS;
    this.#vainScans = 0;
    if (wasCalm) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    }
    this.#plan();
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

  #plan(): void {
    if (this.#timer || this.#closed) return;
    const pauseMs = this.#vainScans >= EAGER_SCANS ? CALM_INTERVAL_MS : SCAN_INTERVAL_MS;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#vainScans++;
      this.scan();
      if (this.#deps.hasProcesses()) this.#plan();
    }, pauseMs);
    this.#timer.unref();
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
      this.#vainScans = 0;
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
      this.#vainScans = 0;
    }
  }
}
