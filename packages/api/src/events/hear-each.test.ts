import type { SandboxLifeEvent } from '@islet/contracts';
import { LOCAL_DEV } from '@islet/db';
import { createLogger } from '@islet/telemetry';
import { expect, it } from 'vitest';
import { openTestDatabase } from '../../test/harness.ts';
import { KnownSandboxes } from '../sandboxes/known-sandboxes.ts';
import { Metering } from '../teams/metering.ts';
import { hearEach } from './hear-each.ts';

const logger = createLogger({ service: 'test', level: 'silent' });

const event = (over: Partial<SandboxLifeEvent>): SandboxLifeEvent => ({
  ...{
    id: crypto.randomUUID(),
    type: 'created',
    timeMs: Date.parse('2026-12-01T10:00:00Z'),
    sandboxId: 'ia',
  },
  ...{ teamId: LOCAL_DEV.teamId, executionId: 'e', templateId: 'base', buildId: 'b', metadata: {}, ...over },
});

it('one event that cannot be taken keeps no other from it', async () => {
  const { db, remove } = await openTestDatabase();
  const options = { db, sandboxes: new KnownSandboxes(), now: Date.now, logger };
  const metering = new Metering(options);
  const hear = hearEach((events) => metering.hear(events), logger);
  const events = [
    event({}),
    event({ sandboxId: 'ib', teamId: 'no team' }),
    event({ sandboxId: 'ic', timeMs: Number.NaN }),
  ];
  await hear(events);
  await hear([event({ sandboxId: 'id' }), ...events]);
  const [day] = await metering.read(LOCAL_DEV.teamId, '2026-12-01', '2026-12-01');
  expect(day?.sandboxes).toBe(2);
  await remove();
});
