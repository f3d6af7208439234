import type { ProcessorNeeds, Runtime, SnapshotNeeds } from './manifest.ts';

/** What a machine starts saved states with. */
export interface SnapshotHost {
  runtime: Runtime;
  processor: ProcessorNeeds;
}

/** Why a state cannot start on a machine, or undefined if it can. */
export function incompatibility(needs: SnapshotNeeds, host: SnapshotHost): string | undefined {
  const { runtime, processor } = host;
  if (needs.runtime.name !== runtime.name) {
    return `it was made with the ${needs.runtime.name} driver and this node runs ${runtime.name}`;
  }
  if (needs.runtime.digest !== runtime.digest) return 'it was made with another build of the sandbox runtime';
  if (!needs.processor) return undefined;
  if (needs.processor.architecture !== processor.architecture) {
    return `it was made on ${needs.processor.architecture} and this node is ${processor.architecture}`;
  }
  const here = new Set(processor.features);
  const missing = needs.processor.features.filter((feature) => !here.has(feature));
  if (missing.length === 0) return undefined;
  return `its programs may use what the processor of this node lacks: ${missing.join(', ')}`;
}
