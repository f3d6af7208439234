export { type ClientProxy, type ClientProxyOptions, createClientProxy } from './client-proxy.ts';
export { ClientConnections, type ConnectionLimits } from './limits/client-connections.ts';
export type { LookUp } from './routing/look-ups.ts';
export { gateWakes, type WakeGate } from './routing/wake-gate.ts';
