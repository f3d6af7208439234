import { faultMessage } from '../../packages/driver-microvm/src/firecracker/fault.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  description: 'what Firecracker answers, which a guest may have taken over',
  run(input) {
    const message = faultMessage(input.toString('utf8'));
    if (message === undefined) return;
    if (`PUT /actions: ${message}`.length > 1100) throw new RangeError('a long message');
  },
};
