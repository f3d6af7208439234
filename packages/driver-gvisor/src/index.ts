export { gvisorKind } from './kind.ts';
export { parseRelease, TESTED_RELEASES, untestedTrouble } from './release.ts';
