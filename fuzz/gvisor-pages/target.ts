import { StateFileError } from '../../packages/driver-gvisor/src/chunk-reader.ts';
import { savedBytes } from '../../packages/driver-gvisor/src/pages.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  description:
    "which pages of a paused sandbox's memory are saved, as gVisor writes it, whose guest may have taken it over",
  run(input) {
    try {
      savedBytes(input);
    } catch (error) {
      if (!(error instanceof StateFileError)) throw error;
    }
  },
};
