import { IsletError } from './error.ts';

export function tooManyIamTokens(count: number, most: number): IsletError {
  return new IsletError(400, `iam.tokens: too many tokens: ${count} (max ${most})`);
}

export function emptyIamTokenName(): IsletError {
  return new IsletError(400, 'iam.tokens: token name must not be empty');
}

export function emptyIamAudience(name: string): IsletError {
  return new IsletError(400, `iam.tokens.${name}.audience: audience is required`);
}

export function wrongIamTokenType(name: string): IsletError {
  return new IsletError(400, `iam.tokens.${name}.tokenType: only "JWT-SVID" is supported`);
}
