import { type Client, createClient } from '@connectrpc/connect';
import { type LinkCredentials, requestCertificate } from '@islet/certificates';
import { clusterProto, fromConnectError, pauseFor } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { CertificateSource } from '../https/certificate-source.ts';
import { transportToMember } from './links.ts';
import { type ClusterMember, isHalfOver, openMember } from './member.ts';
import { keepMembership, type Membership } from './membership.ts';

export interface JoinedOptions {
  dataDir: string;
  membership: Membership;
  /** Unix milliseconds. */
  clock: () => number;
  logger: Logger;
}

const CALL_MS = 10_000;
/** From one try to say where a node is to the next, ms. */
const AGAIN_MS = 2_000;

/** This process as the member that its machine has become by joining. Its certificates come from the API. */
export function openJoined({ dataDir, membership, clock, logger }: JoinedOptions): Promise<ClusterMember> {
  let { cert, key } = membership;
  let known = { cert, key };
  const client = membershipClient(() => ({ ...known, authority: membership.authority }), membership.api);
  const source: CertificateSource = {
    async at(now) {
      if (!isHalfOver(known.cert, now)) return known;
      try {
        const made = await requestCertificate();
        const asked = { certificateRequest: made.request };
        const { certificate } = await client.renew(asked, { timeoutMs: CALL_MS });
        ({ cert, key } = { cert: certificate, key: made.key });
        await keepMembership(dataDir, { ...membership, cert, key });
        known = { cert, key };
      } catch (error) {
        // The next look asks again; until its end the one that is there is good.
        logger.error(
          { err: fromConnectError(error) },
          'the certificate of this machine could not be renewed',
        );
      }
      return known;
    },
  };
  return openMember({ source, authority: membership.authority, clock, logger });
}

function membershipClient(
  credentials: () => LinkCredentials,
  api: string,
): Client<typeof clusterProto.Membership> {
  return createClient(
    clusterProto.Membership,
    transportToMember(credentials, `https://${api}`, { role: 'api' }),
  );
}

/** Where a node listens. */
export interface NodePorts {
  sandboxProxy: number;
  orchestrator: number;
  templateManager: number;
}

/** Says to the API where this node is, again until it was heard. */
export function announceNode(
  member: ClusterMember,
  { api, advertise, labels }: Membership,
  ports: NodePorts,
  logger: Logger,
): AsyncDisposable {
  const stop = new AbortController();
  const { signal } = stop;
  const client = membershipClient(member.credentials, api);
  const said = {
    ...{ address: advertise, labels, sandboxProxyPort: ports.sandboxProxy },
    ...{ orchestratorPort: ports.orchestrator, templateManagerPort: ports.templateManager },
  };
  const announce = async () => {
    while (!signal.aborted) {
      try {
        await client.announce(said, { timeoutMs: CALL_MS, signal });
        return;
      } catch (error) {
        if (!signal.aborted)
          logger.warn({ err: fromConnectError(error) }, 'the API was not told of this node');
      }
      await pauseFor(AGAIN_MS, signal);
    }
  };
  const done = announce();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await done;
    },
  };
}
