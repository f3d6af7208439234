export { type Gateway, type GatewayOptions, startGateway } from './gateway.ts';
export { GatewayError } from './gateway-error.ts';
export { knownServers } from './servers/known.ts';
