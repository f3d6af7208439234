import { fuzzResponse } from '../../packages/proxy/test/fuzz-response.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  description: 'what a server in a sandbox answers through the edge, held against llhttp',
  // Longer than all heads of an exchange may be.
  maxBytes: 100_000,
  run: fuzzResponse,
};
