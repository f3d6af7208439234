import { IsletError } from './error.ts';

// Teams

export function teamNotFound(): IsletError {
  return new IsletError(404, 'Team not found');
}

export function invalidTeamId(text: string): IsletError {
  return new IsletError(400, `Invalid team ID '${text}'`);
}

export function defaultTeamMissing(): IsletError {
  return new IsletError(500, 'Default team not found');
}

export function teamBanned(): IsletError {
  return new IsletError(403, 'team is banned');
}

/** @param reason that the operator gave, if any */
export function teamBlocked(reason: string | null | undefined): IsletError {
  return new IsletError(403, reason ? `team is blocked: ${reason}` : 'team is blocked');
}

export function otherTeamThanKey(): IsletError {
  return new IsletError(400, 'Team ID param mismatch with the API key');
}

export function notTheUsersTeam(): IsletError {
  return new IsletError(403, 'You are not allowed to access this team');
}

export function foreignTeamMetrics(): IsletError {
  return new IsletError(403, 'You do not have access to the metrics of this team');
}

export function foreignTeamUsage(): IsletError {
  return new IsletError(403, 'You do not have access to the usage of this team');
}

/** @param detail what is wrong with the range */
export function invalidUsageRange(detail: string): IsletError {
  return new IsletError(400, `Invalid range of days: ${detail}`);
}

// What a caller shows

export function tooManyFailedAttempts(retryAfterS: number): IsletError {
  return new IsletError(429, 'too many wrong keys and tokens came from your address, try again later', {
    retryAfterS,
  });
}

export function authorizationMissing(): IsletError {
  return new IsletError(401, 'authorization header is missing');
}

export function authorizationMalformed(): IsletError {
  return new IsletError(401, 'authorization header is malformed');
}

function invalidApiKey(detail: string): IsletError {
  return new IsletError(
    401,
    `Invalid API key, please visit https://e2b.dev/docs/api-key for more information.\n${detail}`,
  );
}

export function malformedApiKey(): IsletError {
  return invalidApiKey('Invalid API key format');
}

export function unknownApiKey(): IsletError {
  return invalidApiKey('Cannot get the team for the given API key');
}

function invalidAccessToken(detail: string): IsletError {
  return new IsletError(
    401,
    `Invalid Access token, try to login again by running \`e2b auth login\`.\n${detail}`,
  );
}

export function malformedAccessToken(): IsletError {
  return invalidAccessToken('Invalid access token format');
}

export function unknownAccessToken(): IsletError {
  return invalidAccessToken('Cannot get the user for the given access token');
}

export function invalidJwt(): IsletError {
  return new IsletError(401, 'Invalid auth provider token.\nBackend authentication failed');
}

export function invalidAdminToken(): IsletError {
  return new IsletError(401, 'Invalid Access token.\nInvalid Access token.');
}

// Keys and tokens as things

export function apiKeyNotFound(): IsletError {
  return new IsletError(404, 'API key not found');
}

export function invalidApiKeyId(text: string): IsletError {
  return new IsletError(400, `Invalid API key ID '${text}'`);
}

export function accessTokenNotFound(): IsletError {
  return new IsletError(404, 'Access token not found');
}

export function invalidAccessTokenId(text: string): IsletError {
  return new IsletError(400, `Invalid access token ID '${text}'`);
}
