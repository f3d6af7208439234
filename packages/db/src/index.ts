export { type OwedRecord, oweAudit, takeOwedAudit } from './audit/owed.ts';
export {
  createJoinToken,
  type JoinResult,
  type JoinRole,
  joinWithToken,
  type MemberRole,
  type NewMember,
} from './cluster/join-tokens.ts';
export {
  announceMember,
  enrollMember,
  listMembers,
  listRemovedMembers,
  type Member,
  type MemberAddress,
  removeMember,
  renewMember,
} from './cluster/members.ts';
export {
  listStandings,
  type NodeStanding,
  STANDINGS,
  type Standing,
  setStanding,
} from './cluster/standings.ts';
export { type Database, DatabaseError, type Queries } from './connection/database.ts';
export { MIGRATIONS_DIR, type OpenDatabaseOptions, openDatabase } from './connection/open.ts';
export { isDatabaseUnavailable } from './connection/unavailable.ts';
export { settleFact } from './installation/facts.ts';
export {
  type AccessToken,
  type AccessTokenOwner,
  type CreatedAccessToken,
  createAccessToken,
  deleteAccessToken,
  findAccessTokenOwners,
  listAccessTokens,
  type RevokeTokenResult,
  revokeAccessToken,
} from './keys/access-tokens.ts';
export {
  type ApiKey,
  type ApiKeyOwner,
  type CreatedApiKey,
  createApiKey,
  deleteApiKey,
  findApiKeyOwners,
  listApiKeys,
  type RevokeKeyResult,
  renameApiKey,
  revokeApiKey,
  touchApiKey,
} from './keys/api-keys.ts';
export { type KeyDefectRow, listKeyDefects } from './keys/defects.ts';
export { formatMask, maskKeys, type Revoked } from './keys/selection.ts';
export {
  addWellKnownCredentials,
  findWellKnown,
  revokeWellKnown,
  type WellKnown,
} from './keys/well-known.ts';
export { LOCAL_DEV } from './local-dev.ts';
export { type MigrationStatus, migrate, migrationStatus } from './migrations/migrate.ts';
export {
  claimRun,
  dropClaim,
  finishMove,
  finishResume,
  forgetMoves,
  forgetOldClaims,
  forgetResume,
  movedFrom,
  type PausedRun,
  passClaim,
  type RunClaim,
  unfinishedMoves,
} from './paused/claims.ts';
export {
  adoptPaused,
  heardNodes,
  noteHeard,
  overAmong,
  type PausedTrace,
  pausedAmong,
} from './paused/heard.ts';
export {
  findPaused,
  forgetPaused,
  isPausedRun,
  type PausedSandbox,
  pausedOn,
  reconcilePaused,
  recordPaused,
} from './paused/paused.ts';
export {
  countAccessTokens,
  countApiKeys,
  countTemplates,
  snapshotUse,
  type Use,
  volumeUse,
  whileCounted,
  whileCountedOfUser,
} from './quotas/use.ts';
export { BASE_TIER, LOCAL_TEAM_LIMITS, type LocalCredentials, type SeedOptions, seed } from './seed.ts';
export {
  beginSnapshot,
  dropSnapshot,
  finishSnapshot,
  keepKnownBuilds,
  listSnapshots,
  type NewSnapshot,
  type SnapshotFilter,
  type SnapshotRow,
} from './snapshots/snapshots.ts';
export {
  addUserToTeam,
  createTeam,
  findTeam,
  listTeams,
  listUserTeams,
  type NewTeam,
  setTeamStanding,
  slugOf,
  type Team,
  type TeamStanding,
  type UserTeam,
} from './teams/teams.ts';
export {
  assignBuild,
  type BuildDetail,
  type BuildOutcome,
  beginBuild,
  type Failure,
  failBuilds,
  findBuild,
  finishBuild,
  listUnfinishedBuilds,
  type UnfinishedBuild,
} from './templates/builds.ts';
export {
  type AliasRow,
  type BuildRow,
  DEFAULT_TAG,
  findTaggedBuild,
  findTemplate,
  findTemplateById,
  listAliases,
  listTags,
  type TagRow,
  type TemplateName,
  type TemplateRow,
} from './templates/find.ts';
export {
  type Cursor,
  findTemplateSummary,
  listBuilds,
  listTemplates,
  type Page,
  type TemplateSummary,
} from './templates/list.ts';
export { type BuildRequest, type BuildRequestResult, requestBuild } from './templates/request.ts';
export { assignTags, countTagsWith, removeTags } from './templates/tags.ts';
export {
  type ClaimResult,
  claimGlobalAlias,
  deleteTemplate,
  type FinishedBuild,
  type PlacedBuild,
  recordSpawns,
  registerTemplateBuild,
  type Spawns,
  setTemplatePublic,
} from './templates/write.ts';
export {
  findTeamLimits,
  type LimitOverrides,
  setProjectLimits,
  setTierLimits,
  type TeamLimits,
} from './tiers/limits.ts';
export { countRows, readContent, type TableContent } from './transfer/content.ts';
export { type CopyOptions, copyContent } from './transfer/copy.ts';
export { presentUsage, type UsageAmounts, type UsageReport, usageRange } from './usage/report.ts';
export {
  countCreated,
  countEnded,
  countKept,
  noteRunning,
  type Run,
  readUsage,
  sweepRuns,
  type UsageDay,
  type UsageQuery,
} from './usage/usage.ts';
export {
  holdMasterKey,
  listSealedOtherwise,
  reseal,
  type SealedRow,
  settleMasterKey,
  useMasterKey,
} from './vault/master-key.ts';
export {
  countSecrets,
  createSecret,
  deleteSecret,
  findSecret,
  listSecrets,
  replaceSecret,
  type SecretRow,
  type SecretSelector,
} from './vault/secrets.ts';
export {
  addSigningKey,
  deleteSigningKeys,
  listSigningKeys,
  type SigningKeyRow,
} from './vault/signing-keys.ts';
export {
  createVolume,
  deleteVolume,
  findVolume,
  findVolumesByName,
  listVolumes,
  type NewVolume,
  type Volume,
} from './volumes/volumes.ts';
export {
  claimDue,
  type DueEvent,
  dropLeases,
  type LeaseOptions,
  type Listener,
  listListeners,
  listOwed,
  type OwedEvent,
  type OwedOutcome,
  type OwedState,
  type OwedView,
  oweEvents,
  replayOwed,
  settleOwed,
  stopOwed,
  sweepOwed,
} from './webhooks/queue.ts';
export {
  changeWebhook,
  countWebhooks,
  createWebhook,
  deleteWebhook,
  findWebhook,
  listWebhooks,
  type NewWebhook,
  type Webhook,
  type WebhookChange,
} from './webhooks/webhooks.ts';
