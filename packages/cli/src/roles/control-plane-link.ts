import { type Client, ConnectError } from '@connectrpc/connect';
import {
  type FindSigner,
  type Route,
  type RouteListener,
  routeFromWire,
  type Wake,
  type WakeOutcome,
  type WatchableRoutes,
} from '@islet/catalog';
import { controlPlaneUnavailable, edgeProto, fromConnectError } from '@islet/contracts';

export type ControlPlaneClient = Client<typeof edgeProto.ControlPlane>;

/** A control plane in another process, as an edge uses it. */
export interface ControlPlaneLink {
  routes: WatchableRoutes;
  /** The route as the control plane has it now, for what a watch has not told yet. */
  lookUp(sandboxId: string): Promise<Route | undefined>;
  wake: Wake;
  findSigner: FindSigner;
}

/** How often the control plane is to say that it lives, ms; a watch that was silent for `SILENCES` of them is over. */
const HEARTBEAT_MS = 3_000;
const SILENCES = 3;

const LOOK_UP_TIMEOUT_MS = 5_000;
/** A resume waits for a pause under way. */
const WAKE_TIMEOUT_MS = 70_000;
const FIND_TIMEOUT_MS = 60_000;

const { FileOperation } = edgeProto;

/** Calls a control plane. What it says for clients is thrown as an IsletError. */
export function linkControlPlane(client: ControlPlaneClient): ControlPlaneLink {
  return {
    routes: { watch: (listener) => watch(client, listener) },
    async lookUp(sandboxId) {
      const { route } = await client
        .getRoute({ sandboxId }, { timeoutMs: LOOK_UP_TIMEOUT_MS })
        .catch(asKnownError);
      return route && routeFromWire(route);
    },
    async wake(sandboxId, { port, envdAccessToken, trafficAccessToken }) {
      const ask = {
        ...{ sandboxId, port },
        ...(envdAccessToken !== undefined && { envdAccessToken }),
        ...(trafficAccessToken !== undefined && { trafficAccessToken }),
      };
      const { outcome } = await client.wakeSandbox(ask, { timeoutMs: WAKE_TIMEOUT_MS }).catch(asKnownError);
      return fromWire(outcome);
    },
    async findSigner({ path, username, signature, expiration, operations }) {
      const ask = {
        ...{ path, username, signature },
        ...(expiration !== undefined && { expiration }),
        operations: operations.map((operation) =>
          operation === 'read' ? FileOperation.READ : FileOperation.WRITE,
        ),
      };
      const { sandboxId } = await client.findSigner(ask, { timeoutMs: FIND_TIMEOUT_MS }).catch(asKnownError);
      return sandboxId;
    },
  };
}

/** Clients are told what the control plane says for them, and nothing of why it does not answer. */
function asKnownError(error: unknown): never {
  if (ConnectError.from(error).metadata.has('islet-status')) throw fromConnectError(error);
  throw controlPlaneUnavailable(error);
}

function fromWire(outcome: edgeProto.WakeSandboxResponse['outcome']): WakeOutcome {
  switch (outcome.case) {
    case 'resumed':
      return { kind: 'resumed', route: routeFromWire(outcome.value) };
    case 'refused':
      return { kind: 'refused' };
    case 'transitioning':
      return { kind: 'transitioning' };
    case 'limitReached':
      return { kind: 'limit-reached', message: outcome.value.message };
    default:
      return { kind: 'not-found' };
  }
}

/** See `WatchableRoutes`. */
async function watch(client: ControlPlaneClient, listener: RouteListener): Promise<() => void> {
  const stop = new AbortController();
  // Counted by a timer of this process: while it is stopped, it hears nothing either.
  let silences = 0;
  const timer = setInterval(() => {
    if (++silences > SILENCES) stop.abort(new Error('the control plane has fallen silent'));
  }, HEARTBEAT_MS).unref();
  let isOver = false;
  const end = () => {
    isOver = true;
    clearInterval(timer);
    stop.abort();
  };
  return new Promise((resolve, reject) => {
    const follow = async () => {
      const asked = { heartbeatMs: HEARTBEAT_MS };
      for await (const { event } of client.watchRoutes(asked, { signal: stop.signal })) {
        if (isOver) return;
        silences = 0;
        if (event.case === 'complete') resolve(end);
        else if (event.case === 'put') {
          listener.changed({ kind: 'put', route: routeFromWire(event.value) });
        } else if (event.case === 'removed') {
          const { sandboxId, executionId } = event.value;
          listener.changed({ kind: 'remove', sandboxId, executionId });
        }
      }
      throw new Error('the control plane has ended the watch of its routes');
    };
    follow().catch((cause: unknown) => {
      if (isOver) return;
      const error = stop.signal.aborted ? stop.signal.reason : cause;
      end();
      // Of the two, whoever waits hears one.
      reject(error);
      listener.lost(error);
    });
  });
}
