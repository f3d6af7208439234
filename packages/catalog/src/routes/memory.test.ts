import { createMemoryRoutes } from './memory.ts';
import { routesContract } from './routes.contract.ts';

routesContract('memory', async () => createMemoryRoutes(Date.now));
