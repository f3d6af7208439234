export { reservationsContract } from './reservations/reservations.contract.ts';
export { routesContract, testRoute } from './routes/routes.contract.ts';
