import { catalogContract } from './catalog.contract.ts';
import { createMemoryCatalog } from './memory.ts';

catalogContract('memory', async () => createMemoryCatalog());
