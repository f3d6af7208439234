export { RedisConnection, type RedisOptions } from './connection.ts';
export { createRedisReservations } from './reservations/redis-reservations.ts';
export { createRedisRoutes } from './routes/redis-routes.ts';
