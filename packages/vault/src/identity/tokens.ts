import { SignJWT } from 'jose';
import { ALGORITHM, type SigningKeys, TOKEN_LIFE_S } from './signing-keys.ts';

/** Whose identity a token tells. */
export interface Workload {
  teamId: string;
  templateId: string;
  sandboxId: string;
  /** New at each resume and fork. */
  executionId: string;
}

export interface IdentityTokensOptions {
  keys: SigningKeys;
  /** The address that verifiers know the installation by, without a slash at its end. */
  issuer: () => string;
  /** Unix milliseconds. */
  now: () => number;
}

/** Identity tokens as SPIFFE's JWT-SVID and OpenID Connect have them. */
export class IdentityTokens {
  constructor(private readonly options: IdentityTokensOptions) {}

  /** A new token for one audience. */
  async mint(workload: Workload, audience: string): Promise<string> {
    const { keys, issuer, now } = this.options;
    const { teamId, templateId, sandboxId, executionId } = workload;
    const { id, key } = await keys.signer();
    const at = Math.floor(now() / 1_000);
    return new SignJWT({
      ...{ team_id: teamId, template_id: templateId, sandbox_id: sandboxId, execution_id: executionId },
    })
      .setProtectedHeader({ alg: ALGORITHM, kid: id, typ: 'JWT' })
      .setIssuer(issuer())
      .setSubject(subjectOf(trustDomainOf(issuer()), workload))
      .setAudience([audience])
      .setIssuedAt(at)
      .setNotBefore(at)
      .setExpirationTime(at + TOKEN_LIFE_S)
      .setJti(crypto.randomUUID())
      .sign(key);
  }

  /** As `/.well-known/openid-configuration`. */
  configuration() {
    const issuer = this.options.issuer();
    return {
      issuer,
      jwks_uri: `${issuer}/.well-known/jwks.json`,
      id_token_signing_alg_values_supported: [ALGORITHM],
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
    };
  }

  /** As `/.well-known/jwks.json`. */
  async keySet(): Promise<{ keys: Record<string, string>[] }> {
    return { keys: await this.options.keys.published() };
  }
}

/** Policies may match its beginning. */
function subjectOf(trustDomain: string, { teamId, templateId, sandboxId, executionId }: Workload): string {
  return `spiffe://${trustDomain}/team/${teamId}/template/${templateId}/sandbox/${sandboxId}/execution/${executionId}`;
}

/** The host of an issuer, in the letters that SPIFFE allows. */
export function trustDomainOf(issuer: string): string {
  return new URL(issuer).hostname.replace(/^\[|\]$/g, '').replaceAll(/[^a-z0-9._-]/g, '-');
}
