import { createMemoryRates } from './memory.ts';
import { ratesContract } from './rates.contract.ts';

ratesContract('memory', async (monotonic) => createMemoryRates(monotonic));
