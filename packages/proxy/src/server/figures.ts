import { Count, Durations, isMeasured, openGauge } from '@islet/telemetry';

/** Which of the two proxies: the edge, or the node's own. */
export type ProxyKind = 'client_proxy' | 'orchestrator';

/** What a proxy is asked for its figures. */
export interface ProxyCounts {
  /** Connections of clients. */
  connections(): number;
  /** Connections to sandboxes or nodes, and the runs of sandboxes that they are of. */
  pool(): { connections: number; runs: number };
  /** Requests and tunnels under way, and how many there may be. */
  places(): { taken: number; total: number };
}

/** The figures of one proxy. Its requests are timed only if somebody asks for figures. */
export class ProxyFigures implements Disposable {
  readonly #answered: Durations;
  readonly #held: Durations;
  readonly #blocked: Count;
  readonly isMeasured = isMeasured();
  #gauges: Disposable[] = [];
  readonly #kind: ProxyKind;

  constructor(kind: ProxyKind) {
    this.#kind = kind;
    this.#answered = new Durations({
      name: `${kind}.proxy.request.duration`,
      description: "From a request's head to the head of the sandbox's answer",
    });
    this.#held = new Durations({
      name: `${kind}.proxy.connection.duration`,
      description:
        'From the head of a request to its end, or to the end of what it has become, such as a WebSocket',
    });
    this.#blocked = new Count({
      name: `${kind}.proxy.connections.blocked`,
      description: 'Requests that were refused, since their sandbox or all together had too many under way',
    });
  }

  /** Begins to tell how it stands. */
  open({ connections, pool, places }: ProxyCounts): void {
    const name = (last: string) => `${this.#kind}.proxy.${last}`;
    this.#gauges = [
      openGauge({
        name: name('server.connections.open'),
        description: 'Connections of clients',
        read: connections,
      }),
      openGauge({
        name: name('pool.connections.open'),
        description: 'Connections to where sandboxes are',
        read: () => pool().connections,
      }),
      openGauge({
        name: name('pool.size'),
        description: 'Runs of sandboxes that there are connections of',
        read: () => pool().runs,
      }),
      openGauge({
        name: name('places.free'),
        description: 'Requests and tunnels that could still begin',
        read: () => places().total - places().taken,
      }),
    ];
  }

  /** @param ms since the request's head */
  answered(status: number, ms: number): void {
    this.#answered.record(ms, { status: `${Math.floor(status / 100)}xx` });
  }

  /** @param ms since the request's head */
  ended(ms: number): void {
    this.#held.record(ms);
  }

  blocked(): void {
    this.#blocked.add();
  }

  [Symbol.dispose](): void {
    for (const gauge of this.#gauges.splice(0)) gauge[Symbol.dispose]();
  }
}
