import { createLogger } from '@islet/telemetry';
import { EgressGateway, type GatedSandbox } from '../../src/index.ts';
import { serveCalls } from './rpc.ts';

/** The node's side of the gateway, in a namespace of its own. */
let gateway: EgressGateway;

const say = serveCalls({
  async start(program: string, nameservers: string[]) {
    gateway = await EgressGateway.start({
      ...{ program, nameservers, port: 0 },
      logger: createLogger({
        service: 'test',
        level: 'warn',
        destination: { write: (line) => say({ line }) },
      }),
      onVerdicts: (batch) => batch.map((verdict) => say({ verdict })),
      credentials: {
        secret: async () => undefined,
        token: async () => undefined,
        certificate: async () => undefined,
      },
    });
    return gateway.port;
  },
  set: (sandbox: GatedSandbox) => gateway.set(sandbox),
  remove: (address: string) => gateway.remove(address),
  pid: () => gateway.pid,
  close: () => gateway.close(),
});
