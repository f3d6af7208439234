import type { EgressVerdict } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { Credentials } from './credentials.ts';
import type { GatedSandbox } from './policy.ts';

export interface EgressGatewayOptions {
  /** The gateway's program, as the build lays it out. */
  program: string;
  logger: Logger;
  /** Where it listens for what the firewall redirects; a free port if it is 0. */
  port: number;
  /** Whom it asks for names, as `address` or `address:port`; as the host's /etc/resolv.conf says if there is none. */
  nameservers?: readonly string[] | undefined;
  /** What became of connections, some of them at a time. It must not throw. */
  onVerdicts: (batch: EgressVerdict[]) => void;
  credentials: Credentials;
}

/** The node's side of the gateway's process, which is started again if it ends: closed meanwhile, never open. */
export class EgressGateway {
  /** Where the firewall redirects TCP of gated sandboxes to: this port of 127.0.0.1, by tproxy. */
  readonly port: number;

  private constructor(port: number) {
    this.port = port;
  }

  /** @throws SystemError if the transparent socket cannot be made: that needs CAP_NET_ADMIN */
  static start(_options: EgressGatewayOptions): Promise<EgressGateway> {
    throw new Error('the gateway cannot be started yet');
  }

  /** Puts a sandbox's policy in force: when it resolves, connections that it forbids are cut. */
  set(_sandbox: GatedSandbox): Promise<void> {
    throw new Error(`no gateway runs at port ${this.port}`);
  }

  /** Forgets a sandbox: its connections are cut, and it reaches nothing any more. */
  remove(_address: string): Promise<void> {
    throw new Error(`no gateway runs at port ${this.port}`);
  }

  /** Ends the process. */
  close(): Promise<void> {
    throw new Error(`no gateway runs at port ${this.port}`);
  }
}
