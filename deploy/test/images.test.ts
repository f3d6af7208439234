import { connect } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type PostgresCluster, startPostgres } from '../../packages/db/test/postgres.ts';
import { Images } from './images.ts';

/** The base is made of some fifty of Debian's packages, on a machine that does other things meanwhile. */
const START_MS = 900_000;

let images: Images;
let postgres: PostgresCluster;
let databaseUrl: string;
beforeAll(async () => {
  [images, postgres] = await Promise.all([Images.open(), startPostgres()]);
  databaseUrl = await postgres.createDatabase('islet');
  for (const target of ['migrate', 'api', 'edge']) await images.build(target);
}, START_MS);
afterAll(async () => {
  await images?.[Symbol.asyncDispose]();
  await postgres?.stop();
});

it('bring a database’s schema up to date, once', async () => {
  expect(await images.run('migrate', { DATABASE_URL: databaseUrl })).toMatch(/^Applied 0000/);
  expect(await images.run('migrate', { DATABASE_URL: databaseUrl })).toMatch(/up to date/);
});

it('serve as API and as edge', async () => {
  const ports = { ISLET_API_PORT: '0', ISLET_EDGE_LINK_PORT: '0' };
  const api = await images.start('api', {
    ...ports,
    DATABASE_URL: databaseUrl,
    ISLET_ADVERTISE: '127.0.0.1',
  });
  const health = await fetch(`http://127.0.0.1:${api.ports.api}/health`);
  expect(health.status).toBe(200);
  const edge = await images.start('edge', { ISLET_PROXY_PORT: '0', ISLET_TOKEN: 'a'.repeat(64) });
  await new Promise<void>((resolve, reject) => {
    const socket = connect(edge.ports.clientProxy ?? 0, '127.0.0.1', () => socket.end(resolve));
    socket.once('error', reject);
  });
});
