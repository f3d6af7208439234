import { join } from 'node:path';
import { type Certificate, certifyDomain, makeEgressAuthority } from '@islet/certificates';
import type { Credentials } from '@islet/egress';
import type { CredentialQuestions } from '@islet/orchestrator';
import { openSecrets } from '../host/secrets.ts';
import { keepPair, readAuthority } from '../https/pair-file.ts';

/** What a node's sandboxes take its egress gateway by; made at the first start. @throws Error if it is damaged */
export async function openEgressAuthority(dataDir: string, now: Date): Promise<Certificate> {
  const path = join(await openSecrets(dataDir), 'egress-authority');
  const kept = await readAuthority(path);
  if (kept) return kept;
  const made = await makeEgressAuthority(now);
  await keepPair(path, made);
  return made;
}

/** What the gateway asks its node for: APIs answer for secrets and tokens, and the node certifies the gateway's keys. */
export function nodeCredentials(
  questions: Pick<CredentialQuestions, 'ask'>,
  authority: Certificate,
): Credentials {
  return {
    secret: (teamId, name) => questions.ask({ case: 'secret', value: { teamId, name } }),
    async token({ workloadTokens, teamId, templateId, sandboxId, executionId }, name) {
      const token = workloadTokens.find((each) => each.name === name);
      if (!token) return undefined;
      const value = { teamId, templateId, sandboxId, executionId, audience: token.audience };
      return (await questions.ask({ case: 'token', value }))?.value;
    },
    certificate: (domain, publicKey) => certifyDomain(authority, domain, publicKey, new Date()),
  };
}
