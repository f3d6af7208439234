import { createHash, createHmac } from 'node:crypto';
import { invalidVolumeToken } from '@islet/contracts';
import { jwtVerify, SignJWT } from 'jose';
import type { Clock } from '../deps.ts';

/** What a token lets its bearer do: everything in one volume. */
export interface VolumeGrant {
  teamId: string;
  volumeId: string;
}

export interface VolumeTokens {
  sign(grant: VolumeGrant): Promise<string>;
  /** @throws IsletError 401 */
  verify(token: string): Promise<VolumeGrant>;
}

const ISSUER = 'islet';
const ALGORITHM = 'HS256';
/** An SDK's volume object keeps its token for as long as it lives and cannot renew it. */
const LIFETIME_S = 7 * 24 * 60 * 60;
/** What tokens were for while sandboxes were `<port>-<id>.localhost` by default: their life is not over. */
const FORMER_AUDIENCE = 'https://api.localhost';
/** The kind of storage; there is one. */
const VOLUME_TYPE = 'node';

export interface VolumeTokensOptions {
  tokenSeed: string;
  domain: string | null;
  clock: Clock;
}

/** JSON web tokens for the content of volumes, signed with a key of their own that is derived from the secret seed. */
export function createVolumeTokens({ tokenSeed, domain, clock }: VolumeTokensOptions): VolumeTokens {
  const key = createHmac('sha256', tokenSeed).update('volume-content-token').digest();
  const keyId = createHash('sha256').update(key).digest('hex').slice(0, 16);
  // Without the port, which may be another one after a restart.
  const audience = `https://api.${domain?.replace(/:\d+$/, '') ?? 'localhost'}`;
  return {
    sign({ teamId, volumeId }) {
      const tokenId = crypto.randomUUID();
      const now = Math.floor(clock.now() / 1000);
      return new SignJWT({ teamid: teamId, volid: volumeId, voltype: VOLUME_TYPE })
        .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT', kid: keyId, tokid: tokenId })
        .setIssuer(ISSUER)
        .setAudience(audience)
        .setSubject(teamId)
        .setJti(tokenId)
        .setIssuedAt(now)
        .setNotBefore(now)
        .setExpirationTime(now + LIFETIME_S)
        .sign(key);
    },
    async verify(token) {
      try {
        const { payload } = await jwtVerify<{ teamid: string; volid: string }>(token, key, {
          issuer: ISSUER,
          audience: [audience, FORMER_AUDIENCE],
          algorithms: [ALGORITHM],
          currentDate: new Date(clock.now()),
        });
        return { teamId: payload.teamid, volumeId: payload.volid };
      } catch (cause) {
        throw invalidVolumeToken(cause);
      }
    },
  };
}
