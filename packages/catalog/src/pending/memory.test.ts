import { createMemoryPending } from './memory.ts';
import { pendingContract } from './pending.contract.ts';

pendingContract('in memory', async (monotonic) => createMemoryPending(monotonic));
