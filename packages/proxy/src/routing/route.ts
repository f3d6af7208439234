import { orchestratorProto } from '@islet/contracts';

const { SandboxState } = orchestratorProto;

/** Who may reach a sandbox's ports, and under which Host. Holds for every port but envd's. */
export interface IngressPolicy {
  /** False: requests must carry the traffic token. */
  publicTraffic: boolean;
  /** Without it and without public traffic nobody passes. */
  trafficAccessToken: string | undefined;
  /** What the sandbox sees as Host; `${PORT}` in it stands for the port. */
  maskRequestHost: string | undefined;
}

/** A running sandbox as a proxy on its machine sees it. */
export interface SandboxRoute {
  sandboxId: string;
  /** One run of the sandbox, from a start or resume to its end or pause; connections never outlive it. */
  executionId: string;
  /** Its team. */
  tenant: string;
  /** The sandbox's IP address. */
  address: string;
  ingress: IngressPolicy;
}

/** The route to a sandbox on this machine. */
export function toSandboxRoute(sandbox: orchestratorProto.Sandbox): SandboxRoute {
  const config = sandbox.config;
  if (!config) throw new TypeError('a sandbox needs its config to be routed to');
  const token = config.trafficAccessToken;
  return {
    sandboxId: config.sandboxId,
    executionId: sandbox.executionId,
    tenant: config.teamId,
    address: sandbox.address,
    ingress: {
      publicTraffic: config.ingress ? config.ingress.allowPublicTraffic : token === undefined,
      trafficAccessToken: token,
      maskRequestHost: config.ingress?.maskRequestHost,
    },
  };
}

/** States in which a sandbox serves nobody: it has no address, or not for long. */
const AWAY: ReadonlySet<orchestratorProto.SandboxState> = new Set([
  SandboxState.PAUSING,
  SandboxState.PAUSED,
  SandboxState.KILLING,
]);

/** Whether traffic may be sent to a sandbox as it is now. */
export function servesTraffic(sandbox: orchestratorProto.Sandbox): boolean {
  return !AWAY.has(sandbox.state);
}
