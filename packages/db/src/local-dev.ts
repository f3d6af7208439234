import { hashKey } from '@islet/contracts';

/** The user and team of a local installation, and the keys that every developer of this protocol knows. */
export const LOCAL_DEV = {
  userId: 'fb69f46f-eb51-4a87-a14e-306f7a3fd89c',
  userEmail: 'user@e2b-dev.local',
  teamId: '0b8a3ded-4489-4722-afd1-1d82e64ec2d5',
  teamName: 'local-dev team',
  teamEmail: 'team@e2b-dev.local',
  teamSlug: 'local-dev-team',
  apiKey: 'e2b_53ae1fed82754c17ad8077fbc8bcdd90',
  apiKeyName: 'local dev seed token',
  accessToken: 'sk_e2b_89215020937a4c989cde33d7bc647715',
  accessTokenId: '3d98c426-d348-446b-bdf6-5be3ca4123e2',
  accessTokenName: 'local dev seed token',
  oidcIssuer: 'http://localhost:4444/',
  oidcSubject: 'local-dev-user',
} as const;

/** What the well-known key and token are found by, whoever they were given to and under whatever name. */
export const WELL_KNOWN_HASH = {
  apiKey: hashKey('api', LOCAL_DEV.apiKey),
  accessToken: hashKey('access', LOCAL_DEV.accessToken),
} as const;
