import { createClient, type Transport } from '@connectrpc/connect';
import type { Certificate } from '@islet/certificates';
import { edgeProto } from '@islet/contracts';
import { openJoined } from '../../cluster/joined.ts';
import { transportToMember } from '../../cluster/links.ts';
import { type Membership, readOwnMembership } from '../../cluster/membership.ts';
import { registerWith } from '../../consul/register.ts';
import { SERVICES } from '../../consul/service.ts';
import type { Secrets } from '../../host/secrets.ts';
import { openCertificate } from '../../up/certificate.ts';
import { edgePorts } from '../../up/claim.ts';
import { urlHost } from '../../up/listen.ts';
import { ProxyThread } from '../../up/proxies/proxy-thread.ts';
import type { EdgeConfig } from '../config.ts';
import { linkControlPlanes } from '../control-plane-link.ts';
import { openEdge } from '../edge.ts';
import { readRoleToken } from '../token.ts';
import { openProcess, type ProcessOptions, serveUntil } from './process.ts';
import { transportTo } from './transport.ts';

/** `islet edge`: the way into sandboxes, beside an API in another process. */
export function runEdge(options: ProcessOptions<EdgeConfig>): Promise<void> {
  const { config, layout, version, reporter, clock } = options;
  return serveUntil(options, async (undo) => {
    const startedAt = clock();
    const { instance, secrets, logger, telemetry, ownPorts } = await openProcess(
      { service: 'islet-edge', version },
      config,
      edgePorts(config),
      undo,
    );
    const membership = await readOwnMembership(instance.dataDir, 'edge');
    const member =
      membership && (await openJoined({ ...{ dataDir: instance.dataDir, membership }, clock, logger }));
    undo.add('the care for the certificate of the cluster', async () => member?.[Symbol.dispose]());
    const proxies = new ProxyThread({
      ...{ program: layout.proxies, logLevel: config.logLevel, logger, telemetry },
    });
    undo.add('the thread of the proxies', () => proxies[Symbol.asyncDispose]());
    const use = (certificate: Certificate) => proxies.useCertificate(certificate);
    const { certificate } = await openCertificate({ config, instance, use, clock, logger });
    undo.add('the care for the certificate', () => certificate[Symbol.dispose]());
    const transports =
      member && membership
        ? apisOf(config, membership).map((url) => transportToMember(member.credentials, url, { role: 'api' }))
        : await localTransports(config, secrets);
    const { routes, lookUp, wake, findSigner } = linkControlPlanes(
      transports.map((transport) => createClient(edgeProto.ControlPlane, transport)),
    );
    const stopRenewing = member?.follow((credentials) => proxies.useLinks('edge', credentials));
    const edge = await openEdge({
      ...{ config, proxies, routes, lookUp, wake, findSigner },
      certificate: certificate.first,
      links: member?.credentials(),
    });
    undo.add('the renewal of links', async () => void stopRenewing?.());
    undo.add('the edge', () => edge[Symbol.asyncDispose]());
    registerWith(
      config.consul,
      {
        ...{ id: `${SERVICES.edge}-${edge.port}`, name: SERVICES.edge, meta: {} },
        ...{ address: membership?.advertise ?? config.host, port: edge.port },
        check: { tcp: `${urlHost(config.host)}:${edge.port}` },
      },
      logger,
      undo,
    );
    reporter.serving({
      ...{ role: 'edge', dataDir: instance.dataDir, pid: process.pid },
      ...{ urls: { sandboxes: edge.url }, ports: { clientProxy: edge.port, ...ownPorts } },
      startedInMs: Math.round(clock() - startedAt),
    });
  });
}

/** Those that the operator names, with https since they are the cluster's; else the one that the machine has joined at. */
function apisOf({ controlPlanes }: Pick<EdgeConfig, 'controlPlanes'>, { api }: Membership): string[] {
  const named = controlPlanes.filter((url) => url.startsWith('https:'));
  return named.length > 0 ? named : [`https://${api}`];
}

async function localTransports(
  { controlPlanes, token }: Pick<EdgeConfig, 'controlPlanes' | 'token'>,
  { nodeToken }: Pick<Secrets, 'nodeToken'>,
): Promise<Transport[]> {
  const shared = await readRoleToken(token, nodeToken);
  return controlPlanes.map((url) => transportTo(url, shared));
}
