import { ConsulAgent, keepRegistered, type ServiceEntry } from '@islet/consul';
import type { Undo } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { ConsulConfig } from '../roles/config.ts';

/** Keeps a part of this machine registered at its agent, if there is one; it is taken back with `undo`. */
export function registerWith(
  consul: ConsulConfig | undefined,
  entry: ServiceEntry,
  logger: Logger,
  undo: Undo,
): void {
  if (!consul) return;
  const registered = keepRegistered(new ConsulAgent(consul), entry, (error) =>
    logger.warn({ err: error }, 'this process is not registered in Consul, trying again'),
  );
  undo.add('the entry in Consul', () => registered[Symbol.asyncDispose]());
}
