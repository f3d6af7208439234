import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import { type FindSigner, type Routes, routeToWire, type Wake, type WakeOutcome } from '@islet/catalog';
import {
  databaseUnavailable,
  edgeProto,
  type FileOperation,
  IsletError,
  toConnectError,
} from '@islet/contracts';
import { isDatabaseUnavailable } from '@islet/db';
import type { Logger } from '@islet/telemetry';
import { watchStream } from './watch.ts';

type WireOutcome = NonNullable<MessageInitShape<typeof edgeProto.WakeSandboxResponseSchema>['outcome']>;

export interface EdgeServiceOptions {
  routes: Routes;
  wake: Wake;
  findSigner: FindSigner;
  logger: Logger;
}

const OPERATIONS = new Map<edgeProto.FileOperation, FileOperation>([
  [edgeProto.FileOperation.READ, 'read'],
  [edgeProto.FileOperation.WRITE, 'write'],
]);

/** What edges in other processes ask this control plane. Callers may wake sandboxes: it is for those with a token. */
export function edgeService(options: EdgeServiceOptions): ServiceImpl<typeof edgeProto.ControlPlane> {
  const { routes, wake, findSigner, logger } = options;
  const answer = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof IsletError))
        logger.error({ err: error }, 'a question of an edge was not answered');
      // Of what only this control plane fails with, the edge may ask another one.
      throw toConnectError(isDatabaseUnavailable(error) ? databaseUnavailable(error) : error);
    }
  };
  return {
    watchRoutes: ({ heartbeatMs }, { signal }) => watchStream(routes, heartbeatMs, signal),
    getRoute: ({ sandboxId }) =>
      answer(async () => {
        const route = await routes.get(sandboxId);
        return route ? { route: routeToWire(route) } : {};
      }),
    wakeSandbox: ({ sandboxId, ...credentials }) =>
      answer(async () => {
        const { port, envdAccessToken, trafficAccessToken } = credentials;
        return { outcome: toWire(await wake(sandboxId, { port, envdAccessToken, trafficAccessToken })) };
      }),
    findSigner: ({ path, username, signature, expiration, operations }) =>
      answer(async () => {
        const known = operations.flatMap((operation) => OPERATIONS.get(operation) ?? []);
        const sandboxId = await findSigner({ path, username, signature, expiration, operations: known });
        return sandboxId === undefined ? {} : { sandboxId };
      }),
  };
}

function toWire(outcome: WakeOutcome): WireOutcome {
  switch (outcome.kind) {
    case 'resumed':
      return { case: 'resumed', value: routeToWire(outcome.route) };
    case 'limit-reached':
      return { case: 'limitReached', value: { message: outcome.message } };
    case 'refused':
      return { case: 'refused', value: {} };
    case 'transitioning':
      return { case: 'transitioning', value: {} };
    case 'not-found':
      return { case: 'notFound', value: {} };
  }
}
