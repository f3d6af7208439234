import { setTimeout as sleep } from 'node:timers/promises';
import type { Administration } from '../control/administration.ts';
import type { Step } from '../output/reporter.ts';

export interface BuiltShipped {
  name: string;
  templateId: string;
  buildId: string;
}

/** Between two looks at a build that takes minutes, ms. */
const LOOK_MS = 500;

/**
 * Has a running Islet build one of its own templates, by folder or name, and follows the build. It goes on if the caller leaves.
 * @throws Error if there is no such template, or it cannot be built
 */
export async function buildShipped(
  administration: Pick<Administration, 'buildShipped' | 'readShipped'>,
  template: string,
  step: Step,
  signal: AbortSignal,
): Promise<BuiltShipped> {
  let state = await administration.buildShipped({ template });
  while (state.state === 'building') {
    step.progress(state.message, state.share ?? undefined);
    await sleep(LOOK_MS, undefined, { signal });
    state = await administration.readShipped({ template });
  }
  if (state.state === 'failed')
    throw new Error(`the template ${template} could not be built: ${state.message}`);
  return state;
}
