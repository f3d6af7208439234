import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';

const REQUEST_HEADERS = [
  'Origin',
  'Content-Length',
  'Content-Type',
  'User-Agent',
  'Authorization',
  'X-API-Key',
  'X-Team-ID',
  'browser',
  'lang',
  'lang_version',
  'machine',
  'os',
  'package_version',
  'processor',
  'publisher',
  'release',
  'sdk_runtime',
  'system',
];

const EXPOSED_HEADERS = [
  'X-Next-Token',
  'X-Total-Running',
  'RateLimit-Limit',
  'RateLimit-Remaining',
  'RateLimit-Reset',
  'Retry-After',
];

/** Any page may call the API: what it may do is decided by the key it has, never by cookies. */
export async function useCors(app: FastifyInstance): Promise<void> {
  await app.register(cors, {
    origin: '*',
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowedHeaders: REQUEST_HEADERS,
    exposedHeaders: EXPOSED_HEADERS,
  });
}
