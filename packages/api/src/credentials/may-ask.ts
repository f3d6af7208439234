import type { credentialsProto } from '@islet/contracts';
import type { KnownSandboxes } from '../sandboxes/known-sandboxes.ts';
import { isPaused } from '../sandboxes/live.ts';

/**
 * Whether a node may be told what it asks for: a secret, if a sandbox of the team runs there; an identity token, if that very run
 * of that sandbox does. So whoever has taken over a node gets what it could have seen go by, and no more.
 */
export function mayAsk(
  sandboxes: Pick<KnownSandboxes, 'get' | 'onNode'>,
  nodeId: string,
  about: credentialsProto.Question['about'],
): boolean {
  switch (about.case) {
    case 'secret':
      return sandboxes
        .onNode(nodeId)
        .some((sandbox) => sandbox.config.teamId === about.value.teamId && !isPaused(sandbox));
    case 'token': {
      const { teamId, templateId, sandboxId, executionId } = about.value;
      const sandbox = sandboxes.get(sandboxId);
      return (
        sandbox?.nodeId === nodeId &&
        sandbox.executionId === executionId &&
        sandbox.config.teamId === teamId &&
        sandbox.config.templateId === templateId &&
        !isPaused(sandbox)
      );
    }
    case undefined:
      return false;
  }
}
