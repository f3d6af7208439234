/** A server to load, and how requests for it are told apart at the address they are sent to. */
export interface Goal {
  host: string;
  port: number;
  /** Sent with every request; holds Host, which says more than the address where a proxy stands there. */
  headers: Readonly<Record<string, string>>;
}

/** The goal that a sandbox's port is behind the edge, routed by headers as the SDK's own traffic is. */
export function throughEdge(sandboxUrl: string, sandboxId: string, port: number): Goal {
  const { hostname, port: edgePort, host } = new URL(sandboxUrl);
  return {
    host: hostname,
    port: Number(edgePort),
    headers: { Host: host, 'E2b-Sandbox-Id': sandboxId, 'E2b-Sandbox-Port': String(port) },
  };
}

/** The goal that a server is at its own address. */
export function straightTo(host: string, port: number): Goal {
  return { host, port, headers: { Host: `${host}:${port}` } };
}

/** The same goal with more headers. */
export function withHeaders(goal: Goal, headers: Readonly<Record<string, string>>): Goal {
  return { ...goal, headers: { ...goal.headers, ...headers } };
}
