import Fastify, { type FastifyInstance } from 'fastify';
import { describe, expect, it } from 'vitest';
import { access, requireDeclaredAccess } from './guard.ts';

function guarded(): FastifyInstance {
  const app = Fastify();
  requireDeclaredAccess(app);
  return app;
}

describe('a route that does not say who may call it', () => {
  it.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'] as const)(
    'is refused when it is added: %s',
    (method) => {
      expect(() => guarded().route({ method, url: '/secret/:id', handler: () => 'told' })).toThrow(
        `the route ${method} /secret/:id does not say who may call it`,
      );
    },
  );

  it('is refused also with several methods, with another config, and for every path', () => {
    const handler = () => 'told';
    expect(() => guarded().route({ method: ['GET', 'POST'], url: '/a', handler })).toThrow('GET, POST /a');
    expect(() => guarded().get('/a', { config: {} }, handler)).toThrow('GET /a');
    expect(() => guarded().all('*', handler)).toThrow(/\* does not say/);
  });

  it('keeps the service from starting if a plugin adds it', async () => {
    const app = guarded();
    void app.register(async (scope) => void scope.get('/inner', () => 'told'), { prefix: '/outer' });
    await expect(app.ready()).rejects.toThrow('GET /outer/inner');
  });
});

it('takes what is declared, open or not, and the HEAD that comes with a GET', async () => {
  const app = guarded();
  app.get('/open', { config: { access: access.open } }, () => 'told');
  app.get('/team', { config: { access: access.team } }, () => 'told');
  await app.ready();
  expect((await app.inject({ method: 'HEAD', url: '/open' })).statusCode).toBe(200);
});
