import { createClient } from '@connectrpc/connect';
import type { Certificate } from '@islet/certificates';
import { edgeProto } from '@islet/contracts';
import { openCertificate } from '../../up/certificate.ts';
import { edgePorts } from '../../up/claim.ts';
import { ProxyThread } from '../../up/proxies/proxy-thread.ts';
import type { EdgeConfig } from '../config.ts';
import { linkControlPlanes } from '../control-plane-link.ts';
import { openEdge } from '../edge.ts';
import { readRoleToken } from '../token.ts';
import { openProcess, type ProcessOptions, serveUntil } from './process.ts';
import { transportTo } from './transport.ts';

/** `islet edge`: the way into sandboxes, beside an API in another process. */
export function runEdge(options: ProcessOptions<EdgeConfig>): Promise<void> {
  const { config, layout, reporter, clock } = options;
  return serveUntil(options, async (undo) => {
    const startedAt = clock();
    const { instance, secrets, logger } = await openProcess(config, edgePorts(config), undo);
    const token = await readRoleToken(config.token, secrets.nodeToken);
    const proxies = new ProxyThread({ program: layout.proxies, logLevel: config.logLevel, logger });
    undo.add('the thread of the proxies', () => proxies[Symbol.asyncDispose]());
    const use = (certificate: Certificate) => proxies.useCertificate(certificate);
    const { certificate } = await openCertificate({ config, instance, use, clock, logger });
    undo.add('the care for the certificate', () => certificate[Symbol.dispose]());
    const { routes, lookUp, wake, findSigner } = linkControlPlanes(
      config.controlPlanes.map((url) => createClient(edgeProto.ControlPlane, transportTo(url, token))),
    );
    const edge = await openEdge({
      ...{ config, proxies, routes, lookUp, wake, findSigner },
      certificate: certificate.first,
    });
    undo.add('the edge', () => edge[Symbol.asyncDispose]());
    reporter.serving({
      ...{ role: 'edge', dataDir: instance.dataDir, pid: process.pid },
      ...{ urls: { sandboxes: edge.url }, ports: { clientProxy: edge.port } },
      startedInMs: Math.round(clock() - startedAt),
    });
  });
}
