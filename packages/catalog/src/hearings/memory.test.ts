import { hearingsContract } from './hearings.contract.ts';
import { createMemoryHearings } from './memory.ts';

hearingsContract('in memory', async (now) => createMemoryHearings(now));
