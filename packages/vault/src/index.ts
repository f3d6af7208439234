export { SigningKeys, TOKEN_LIFE_S } from './identity/signing-keys.ts';
export { IdentityTokens, type Workload } from './identity/tokens.ts';
export {
  fixedMasterKeys,
  type MasterKey,
  type MasterKeys,
  newMasterKey,
  parseMasterKeys,
  writeMasterKeys,
} from './master-keys.ts';
export { SealError } from './sealing.ts';
export { type Secret, Secrets } from './secrets.ts';
export { MasterKeyMissingError, Vault } from './vault.ts';
