// The edge alone in a process, with one sandbox at the address it is given.
import { create } from '@bufbuild/protobuf';
import { createMemoryCatalog } from '@islet/catalog';
import { createClientProxy, issueCertificate, makeAuthority } from '@islet/client-proxy';
import { orchestratorProto, PORTS } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';

const [, , address = '127.0.0.1', sandboxId = 'ibench'] = process.argv;
const DOMAIN = 'localhost';
const catalog = createMemoryCatalog();
await catalog.put({
  sandbox: create(orchestratorProto.SandboxSchema, {
    config: { sandboxId, teamId: 't', ingress: { allowPublicTraffic: true } },
    state: orchestratorProto.SandboxState.RUNNING,
    executionId: 'run-1',
    address,
  }),
  route: { kind: 'direct' },
});
const edge = createClientProxy({
  catalog,
  envdPort: PORTS.envd,
  logger: createLogger({ service: 'client-proxy', level: 'info' }),
  certificate: await issueCertificate(await makeAuthority(DOMAIN, 'bench', new Date()), DOMAIN, new Date()),
});
await edge.listen({ host: '127.0.0.1', port: 0 });
process.send?.(edge.address().port);
process.on('disconnect', () => process.exit(0));
