export type { Certificate } from './certificate.ts';
export {
  BadCertificateRequest,
  certifyMember,
  fingerprintOf,
  MEMBER_LIFE_MS,
  type MemberCertificate,
  makeClusterAuthority,
  requestCertificate,
} from './cluster/authority.ts';
export { boundHandshakes } from './cluster/handshakes.ts';
export { type Identity, isMemberName, newIdentity, ROLES, type Role } from './cluster/identity.ts';
export {
  type Expected,
  identityOf,
  type LinkClient,
  type LinkCredentials,
  lapsedPeerOf,
  linkClient,
  peerOf,
  type Stranger,
  serverOptions,
  WrongPeer,
} from './cluster/links.ts';
export { certifyDomain, makeEgressAuthority } from './egress/authority.ts';
export { CERTIFICATE_LIFE_MS, issueCertificate, makeAuthority, permits } from './https/issue.ts';
export { LOCAL_DOMAIN, servedNames } from './https/names.ts';
