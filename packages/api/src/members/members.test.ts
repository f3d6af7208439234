import { randomUUID } from 'node:crypto';
import { createMemoryNotices } from '@islet/catalog';
import { type Database, enrollMember } from '@islet/db';
import { createLogger } from '@islet/telemetry';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTestDatabase } from '../../test/harness.ts';
import { systemClock } from '../deps.ts';
import { NodeStandings } from '../nodes/standings.ts';
import { Members } from './members.ts';

const logger = createLogger({ service: 'members-test', level: 'silent' });
/** None of them looks by itself while the test runs. */
const NEVER_MS = 2_000_000_000;

let database: { db: Database; remove(): Promise<void> };
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.remove());

it('are known to all control planes when one was told of them', async () => {
  const { db } = database;
  const notices = createMemoryNotices();
  const open = () => Members.open({ db, notices, logger, lookMs: NEVER_MS });
  await using one = await open();
  await using two = await open();
  const now = new Date(0);
  await enrollMember(db, {
    ...{
      id: randomUUID(),
      role: 'node',
      name: 'new',
      joinedAt: now,
      serial: '1',
      expiresAt: now,
      labels: {},
    },
    at: { address: '10.0.0.1', sandboxProxyPort: 1, orchestratorPort: 2, templateManagerPort: 3 },
  });
  expect([one, two].map(({ all }) => all)).toEqual([[], []]);
  const told: string[][] = [];
  two.watch((all) => told.push(all.map(({ name }) => name)));
  await one.changed();
  await expect.poll(() => told).toEqual([[], ['new']]);
  expect(one.all).toHaveLength(1);
});

it('have standings that all control planes know when one was told of them', async () => {
  // As of a server that several share.
  const db: Database = Object.create(database.db, { kind: { value: 'postgresql' } });
  const notices = createMemoryNotices();
  const open = async () => {
    const standings = new NodeStandings({ db, notices, clock: systemClock, logger, lookMs: NEVER_MS });
    await standings.start();
    return standings;
  };
  await using one = await open();
  await using two = await open();
  await one.set('a', 'draining');
  await expect.poll(() => two.of('a')).toBe('draining');
  expect(two.of('b')).toBe('ready');
});
