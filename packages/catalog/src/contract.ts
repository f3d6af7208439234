export { hearingsContract } from './hearings/hearings.contract.ts';
export { noticesContract } from './notices/notices.contract.ts';
export { pendingContract } from './pending/pending.contract.ts';
export { ratesContract } from './rates/rates.contract.ts';
export { reservationsContract } from './reservations/reservations.contract.ts';
export { marksContract, routesContract, testRoute } from './routes/routes.contract.ts';
