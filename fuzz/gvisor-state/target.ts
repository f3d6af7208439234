import { StateFileError } from '../../packages/driver-gvisor/src/chunk-reader.ts';
import { epollFaults } from '../../packages/driver-gvisor/src/epoll-repairs.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  description: 'the state of a paused sandbox as gVisor writes it, whose guest may have taken it over',
  run(input) {
    try {
      epollFaults(input);
    } catch (error) {
      if (!(error instanceof StateFileError)) throw error;
    }
  },
};
