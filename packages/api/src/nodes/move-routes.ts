import { nodeNotFound, parseSandboxId } from '@islet/contracts';
import { Type } from 'typebox';
import { access } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { relocate } from '../sandboxes/relocate.ts';
import { ErrorShape } from '../sandboxes/shapes.ts';

const Moved = Type.Object({
  sandboxID: Type.String(),
  /** Where it is now. */
  nodeID: Type.String(),
  /** How long it did not answer, ms; null if it was paused, and is. */
  gapMs: Type.Union([Type.Number(), Type.Null()]),
});

/** What drains do: Islet's own. */
export function addMoveRoutes(app: ApiApp, context: ApiContext): void {
  app.post(
    '/nodes/:nodeID/sandboxes/:sandboxID/move',
    {
      config: { access: access.admin },
      schema: {
        params: Type.Object({ nodeID: Type.String(), sandboxID: Type.String() }),
        response: { 200: Moved, '4xx': ErrorShape, '5xx': ErrorShape },
      },
    },
    async (request) => {
      const { nodeID, sandboxID } = request.params;
      const node = context.nodes.find(nodeID);
      if (!node) throw nodeNotFound();
      const { nodeId, gapMs } = await relocate(context, node, parseSandboxId(sandboxID));
      return { sandboxID, nodeID: nodeId, gapMs: gapMs ?? null };
    },
  );
}
