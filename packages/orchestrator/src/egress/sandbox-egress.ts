import type { EgressGateway } from '@islet/egress';
import type { NetworkPool, Slot } from '@islet/network';
import type { VerdictSink } from '@islet/sinks';
import type { Logger } from '@islet/telemetry';
import { LEAKS } from '../figures/operations.ts';
import type { SandboxNetwork } from '../machine/ports.ts';
import { DirectFlows } from './direct-flows.ts';
import { type EgressOwner, firewallRules, gatedSandbox, needsGateway, policyOf } from './policy.ts';

/** How often it is looked what sandboxes have begun without the gateway, ms. The firewall remembers it for a minute. */
const LOOK_MS = 10_000;

export interface SandboxEgressOptions {
  network: Pick<NetworkPool, 'slot' | 'take' | 'discard' | 'setEgress' | 'steerTo' | 'flows'>;
  /** Called once something is gated: a node that gates nobody needs no gateway. */
  startGateway: () => Promise<EgressGateway>;
  /** Resolvers of the sandboxes, IPv4. */
  resolvers: readonly string[];
  verdicts: VerdictSink;
  /** Unix ms. */
  now: () => number;
  logger: Logger;
}

/** The network slots of sandboxes, with what may leave them: by the firewall, and for gated ones by the gateway. */
export class SandboxEgress implements SandboxNetwork, AsyncDisposable {
  readonly #options: SandboxEgressOptions;
  readonly #flows = new DirectFlows();
  /** Addresses that the gateway knows. */
  readonly #gated = new Set<string>();
  #gateway: Promise<EgressGateway> | undefined;
  #looking: Promise<void> | undefined;
  readonly #timer: NodeJS.Timeout;

  constructor(options: SandboxEgressOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.caughtUp(), LOOK_MS).unref();
  }

  slot(index: number): Slot {
    return this.#options.network.slot(index);
  }

  take(): Promise<Slot> {
    return this.#options.network.take();
  }

  /**
   * Puts an owner's rules in force. What the gateway has begun goes on by it also when the sandbox is not gated any more.
   * @throws Error if they cannot be: the earlier ones may hold in part then, so whoever calls puts them in force again
   */
  async setEgress(slot: Slot, owner: EgressOwner): Promise<void> {
    const { network, resolvers } = this.#options;
    const { sandboxAddress } = slot;
    const policy = policyOf(owner.config.egress);
    if (needsGateway(policy) || this.#gated.has(sandboxAddress)) {
      const gateway = await this.#running();
      this.#gated.add(sandboxAddress);
      await gateway.set(gatedSandbox(slot, owner, policy));
    }
    await network.setEgress(slot, firewallRules(policy, resolvers));
    this.#flows.begin(sandboxAddress, owner);
  }

  /**
   * Tells the gateway of a sandbox that an earlier process left; the firewall has its rules already. Never fails: what the gateway does
   * not know of reaches nothing by it.
   */
  async adopt(slot: Slot, owner: EgressOwner): Promise<void> {
    await this.setEgress(slot, owner).catch((error: unknown) => {
      const { sandboxId } = owner.config;
      this.#options.logger.error(
        { err: error, sandboxId },
        'the gateway was not told of a sandbox, which reaches nothing by it until its rules are set again',
      );
    });
  }

  discard(slot: Slot): void {
    const { network, logger } = this.#options;
    const { sandboxAddress } = slot;
    this.#flows.end(sandboxAddress);
    if (this.#gated.delete(sandboxAddress)) {
      this.#gateway
        ?.then((gateway) => gateway.remove(sandboxAddress))
        .catch((error: unknown) => {
          LEAKS.add();
          logger.error({ err: error }, 'the gateway did not forget a sandbox');
        });
    }
    network.discard(slot);
  }

  /** Waits until what sandboxes have begun by now is told. Never fails. */
  caughtUp(): Promise<void> {
    this.#looking ??= this.#look()
      .catch((error: unknown) =>
        this.#options.logger.warn({ err: error }, 'what sandboxes reach without the gateway is not known'),
      )
      .finally(() => {
        this.#looking = undefined;
      });
    return this.#looking;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.caughtUp();
    const gateway = await this.#gateway?.catch(() => undefined);
    await gateway?.close();
  }

  async #look(): Promise<void> {
    const { network, now, verdicts } = this.#options;
    if (this.#flows.size === 0) return;
    const { allowed, denied } = await network.flows();
    const counted = [
      ...allowed.map((flow) => ({ ...flow, decision: 'allowed' as const })),
      ...denied.map((flow) => ({ ...flow, decision: 'denied' as const })),
    ];
    for (const verdict of this.#flows.take(counted, now())) verdicts.record(verdict);
  }

  /** @throws what keeps it from starting; the next one who needs it tries again */
  #running(): Promise<EgressGateway> {
    this.#gateway ??= this.#start().catch((error: unknown) => {
      this.#gateway = undefined;
      throw error;
    });
    return this.#gateway;
  }

  async #start(): Promise<EgressGateway> {
    const gateway = await this.#options.startGateway();
    try {
      await this.#options.network.steerTo(gateway.port);
      return gateway;
    } catch (error) {
      await gateway.close();
      throw error;
    }
  }
}
