import { emptyIamAudience, emptyIamTokenName, tooManyIamTokens, wrongIamTokenType } from '@islet/contracts';

const MOST_TOKENS = 5;
const TOKEN_TYPE = 'JWT-SVID';

/** An identity token that rules of a sandbox may name. */
export interface WorkloadToken {
  name: string;
  /** As it was sent. */
  audience: string;
}

/** Checks the identity tokens of a create, with the protocol's messages. @throws IsletError 400 */
export function parseWorkloadTokens(
  tokens: Record<string, { audience?: string; tokenType?: string }> = {},
): WorkloadToken[] {
  const entries = Object.entries(tokens);
  if (entries.length > MOST_TOKENS) throw tooManyIamTokens(entries.length, MOST_TOKENS);
  return entries.map(([name, { audience = '', tokenType }]) => {
    if (name === '') throw emptyIamTokenName();
    if (audience === '') throw emptyIamAudience(name);
    if (tokenType !== TOKEN_TYPE) throw wrongIamTokenType(name);
    return { name, audience };
  });
}
