// The edge alone in a process, with one sandbox at the address it is given.
import { RouteTable } from '@islet/catalog';
import { issueCertificate, makeAuthority } from '@islet/certificates';
import { createClientProxy } from '@islet/client-proxy';
import { PORTS } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';

const [, , address = '127.0.0.1', sandboxId = 'ibench'] = process.argv;
const DOMAIN = 'localhost';
const routes = new RouteTable(Date.now);
routes.changed({
  kind: 'put',
  route: {
    sandboxId,
    executionId: 'run-1',
    revision: 1,
    state: 'running',
    teamId: 't',
    nodeId: 'n',
    address,
    proxyAddress: undefined,
    ingress: { publicTraffic: true, trafficTokenDigest: undefined, maskRequestHost: undefined },
    envdTokenDigest: undefined,
    wakes: false,
    moving: false,
    expiresAtMs: Number.POSITIVE_INFINITY,
  },
});
const edge = createClientProxy({
  routes,
  envdPort: PORTS.envd,
  logger: createLogger({ service: 'client-proxy', level: 'info' }),
  certificate: await issueCertificate(await makeAuthority(DOMAIN, 'bench', new Date()), DOMAIN, new Date()),
});
await edge.listen({ host: '127.0.0.1', port: 0 });
process.send?.(edge.address().port);
process.on('disconnect', () => process.exit(0));
