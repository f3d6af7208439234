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
import { ControlPlanes } from './control-planes.ts';

export type ControlPlaneClient = Client<typeof edgeProto.ControlPlane>;

/** Control planes in other processes, as an edge uses them. */
export interface ControlPlaneLink {
  routes: WatchableRoutes;
  /** The route as the control planes have it now, for what a watch has not told yet. */
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
/** How long one control plane may take until the next is asked as well, ms. */
const PATIENCE_MS = { lookUp: 1_000, wake: 5_000, findSigner: 5_000 };

const { FileOperation } = edgeProto;

/**
 * Calls control planes that share their routes: follows one, goes to the next when it falls silent, and asks any that
 * answers. What they say for clients is thrown as an IsletError.
 * @param clients at least one
 */
export function linkControlPlanes(clients: readonly ControlPlaneClient[]): ControlPlaneLink {
  const planes = new ControlPlanes(clients);
  let followed = planes.first;
  const ask = <T>(
    patienceMs: number,
    question: (client: ControlPlaneClient) => Promise<T>,
    isEnough?: (answer: T) => boolean,
  ) => planes.ask({ ask: question, patienceMs, isAnswer, ...(isEnough && { isEnough }) }).catch(asKnownError);
  return {
    routes: {
      watch: async (listener) => {
        const client = followed;
        const leave = () => {
          if (followed === client) followed = planes.after(client);
        };
        try {
          return await watch(client, {
            changed: (change) => listener.changed(change),
            lost: (error) => {
              leave();
              listener.lost(error);
            },
          });
        } catch (error) {
          leave();
          throw error;
        }
      },
    },
    async lookUp(sandboxId) {
      const { route } = await ask(PATIENCE_MS.lookUp, (client) =>
        client.getRoute({ sandboxId }, { timeoutMs: LOOK_UP_TIMEOUT_MS }),
      );
      return route && routeFromWire(route);
    },
    async wake(sandboxId, { port, envdAccessToken, trafficAccessToken }) {
      const asked = {
        ...{ sandboxId, port },
        ...(envdAccessToken !== undefined && { envdAccessToken }),
        ...(trafficAccessToken !== undefined && { trafficAccessToken }),
      };
      // Two that resume one sandbox are told of one resume.
      const { outcome } = await ask(PATIENCE_MS.wake, (client) =>
        client.wakeSandbox(asked, { timeoutMs: WAKE_TIMEOUT_MS }),
      );
      return fromWire(outcome);
    },
    async findSigner({ path, username, signature, expiration, operations }) {
      const asked = {
        ...{ path, username, signature },
        ...(expiration !== undefined && { expiration }),
        operations: operations.map((operation) =>
          operation === 'read' ? FileOperation.READ : FileOperation.WRITE,
        ),
      };
      const { sandboxId } = await ask(
        PATIENCE_MS.findSigner,
        (client) => client.findSigner(asked, { timeoutMs: FIND_TIMEOUT_MS }),
        // Of a sandbox that is new, another one may know the token already.
        (answer) => answer.sandboxId !== undefined,
      );
      return sandboxId;
    },
  };
}

/** Whether a control plane said it: else it has not answered, or broke off. */
function isAnswer(error: unknown): boolean {
  return ConnectError.from(error).metadata.has('islet-status');
}

/** Clients are told what a control plane says for them, and nothing of why none answers. */
function asKnownError(error: unknown): never {
  if (isAnswer(error)) throw fromConnectError(error);
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
