export { type ClientProxy, type ClientProxyOptions, createClientProxy } from './client-proxy.ts';
export { ClientConnections, type ConnectionLimits } from './limits/client-connections.ts';
export { gateWakes, type WakeGateOptions } from './routing/wake-gate.ts';
export { createHealthServer, HEALTH_PORT, type HealthServer } from './server/health-server.ts';
export {
  type Certificate,
  type CertificateSource,
  certificateNames,
  loadCertificate,
} from './tls/certificate.ts';
