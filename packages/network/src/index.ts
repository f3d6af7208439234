export type { Slot } from './addresses.ts';
export type { Flow } from './flows.ts';
export { NetworkPool } from './pool.ts';
export { countConnections, waitForQuiet, waitForRequests } from './quiet.ts';
export type { EgressRules } from './rules.ts';
export { type ClaimedSubnet, claimSubnet } from './subnet.ts';
export { GUEST, TAP, tapBatch, VOLUMES_PORT } from './tap.ts';
