import { idsOfNamespace } from '@islet/host';
import { StartRefused } from '../up/claim.ts';
import type { UpConfig } from '../up/config.ts';

/**
 * What is started if this is root of a user namespace alone: without what the kernel keeps for the machine's own root.
 * @throws StartRefused if that was asked for
 */
export function withoutRoot(config: UpConfig, ids = idsOfNamespace()): UpConfig {
  if (ids === undefined) return config;
  if (config.isolation === 'microvm') {
    throw new StartRefused(
      'virtual machines need root: start it with sudo ./islet up, or without --isolation microvm',
    );
  }
  if (config.advertise !== undefined) {
    throw new StartRefused(
      'a machine of a cluster needs root: start it with sudo ./islet up, or without --advertise',
    );
  }
  return { ...config, isolation: 'gvisor', volumeSizeMb: 0 };
}
