import { IsletError } from '@islet/contracts';

const unauthorized = (message: string) => new IsletError(401, message);

export const missingHeader = () => unauthorized('authorization header is missing');
export const malformedHeader = () => unauthorized('authorization header is malformed');

export const badApiKey = (detail: string) =>
  unauthorized(`Invalid API key, please visit https://e2b.dev/docs/api-key for more information.\n${detail}`);

export const badAccessToken = (detail: string) =>
  unauthorized(`Invalid Access token, try to login again by running \`e2b auth login\`.\n${detail}`);

export const badJwt = () => unauthorized('Invalid auth provider token.\nBackend authentication failed');

export const badAdminToken = () => unauthorized('Invalid Access token.\nInvalid Access token.');

export const notTheUsersTeam = () => new IsletError(403, 'You are not allowed to access this team');
