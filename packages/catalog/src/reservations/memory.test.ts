import { createMemoryReservations } from './memory.ts';
import { reservationsContract } from './reservations.contract.ts';

reservationsContract('memory', async (monotonic) => createMemoryReservations(monotonic));
