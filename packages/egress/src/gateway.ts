import { closeSync } from 'node:fs';
import type { EgressVerdict } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { Credentials } from './credentials.ts';
import type { GatedSandbox } from './policy.ts';
import { GatewayProcess } from './process/gateway-process.ts';
import { type ListeningSocket, openTransparentSocket } from './process/transparent-socket.ts';

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

/** How long it is waited before another try if the process has ended, ms. */
const RESTART_MS = 500;

/**
 * The node's side of the gateway's process. The socket is the node's: connections that come while the process is started again wait
 * for it, and get through when it knows every policy; until then none does.
 */
export class EgressGateway {
  readonly #options: EgressGatewayOptions;
  readonly #socket: ListeningSocket;
  readonly #sandboxes = new Map<string, GatedSandbox>();
  #process: GatewayProcess | undefined;
  #restart: NodeJS.Timeout | undefined;
  #closing = false;

  private constructor(options: EgressGatewayOptions, socket: ListeningSocket) {
    this.#options = options;
    this.#socket = socket;
  }

  /**
   * @throws SystemError if the transparent socket cannot be made: that needs CAP_NET_ADMIN
   * @throws Error if the process does not begin to accept connections
   */
  static async start(options: EgressGatewayOptions): Promise<EgressGateway> {
    const gateway = new EgressGateway(options, openTransparentSocket(options.port));
    try {
      await gateway.#start();
    } catch (error) {
      await gateway.close();
      throw error;
    }
    return gateway;
  }

  /** Where the firewall redirects TCP of gated sandboxes to: this port of 127.0.0.1, by tproxy. */
  get port(): number {
    return this.#socket.port;
  }

  /** The process that runs now; undefined while there is none. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Puts a sandbox's policy in force: when it resolves, connections that it forbids are cut. */
  async set(sandbox: GatedSandbox): Promise<void> {
    this.#sandboxes.set(sandbox.address, sandbox);
    // While there is no process nothing gets through, and the next one is told all of them first.
    await this.#process?.ask({ type: 'set', sandbox });
  }

  /** Forgets a sandbox: its connections are cut, and it reaches nothing any more. */
  async remove(address: string): Promise<void> {
    if (!this.#sandboxes.delete(address)) return;
    await this.#process?.ask({ type: 'remove', address });
  }

  /** Ends the process. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    clearTimeout(this.#restart);
    await this.#process?.end();
    closeSync(this.#socket.descriptor);
  }

  async #start(): Promise<void> {
    const { credentials, logger, nameservers, onVerdicts, program } = this.#options;
    const started = new GatewayProcess({
      ...{ program, logger, nameservers, onVerdicts, credentials },
      descriptor: this.#socket.descriptor,
      sandboxes: this.#sandboxes,
      onEnd: () => this.#onEnd(started),
    });
    this.#process = started;
    const known = [...this.#sandboxes.values()].map((sandbox) => started.ask({ type: 'set', sandbox }));
    await Promise.all([...known, started.ask({ type: 'listen' })]);
    if (started.hasEnded) throw new Error('the egress gateway ended as it began: its log says why');
  }

  #onEnd(ended: GatewayProcess): void {
    if (this.#process === ended) this.#process = undefined;
    if (this.#closing) return;
    this.#options.logger.error('the egress gateway has ended, and is started again: gated sandboxes wait');
    this.#restart = setTimeout(() => {
      this.#start().catch((error) =>
        this.#options.logger.error({ err: error }, 'the egress gateway did not start again'),
      );
    }, RESTART_MS);
  }
}
