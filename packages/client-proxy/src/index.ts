export { type ClientProxy, type ClientProxyOptions, createClientProxy } from './client-proxy.ts';
export type { Resume, ResumeCredentials, ResumeOutcome } from './routing/resume.ts';
export { createHealthServer, HEALTH_PORT, type HealthServer } from './server/health-server.ts';
export {
  type Certificate,
  type CertificateSource,
  certificateNames,
  loadCertificate,
} from './tls/certificate.ts';
