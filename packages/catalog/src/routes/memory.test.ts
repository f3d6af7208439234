import { createMemoryRoutes } from './memory.ts';
import { marksContract, routesContract } from './routes.contract.ts';

routesContract('memory', async () => createMemoryRoutes(Date.now));
marksContract('memory', async () => createMemoryRoutes(Date.now));
