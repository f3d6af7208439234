import { openLiveStore } from '@islet/redis';
import { TestServer } from '@islet/redis/test-server';
import { createLogger } from '@islet/telemetry';
import { ControlPlaneUnderTest } from '../islet/simulated-control-plane.ts';
import { inRounds } from '../pace/rounds.ts';
import { timed } from '../pace/timed.ts';
import type { Row } from './row.ts';

const KNOWN = 10;
const CALLS_A_ROUND = 10;

export const liveStoreRow: Row = {
  name: 'live-store',
  description:
    'create on a simulated node through an API with Redis, against one that keeps what is live in memory',
  async measure(context) {
    const pace = context.size === 'full' ? { rounds: 40, budgetMs: 30_000 } : { rounds: 10, budgetMs: 8_000 };
    const logger = createLogger({ service: 'bench', level: 'silent' });
    await using server = await TestServer.start('redis-server');
    await using live = await openLiveStore({ url: server.url, prefix: 'bench', logger });
    await using shared = await ControlPlaneUnderTest.open(KNOWN, live);
    await using alone = await ControlPlaneUnderTest.open(KNOWN);
    const [samples, baseline]: [number[], number[]] = [[], []];
    for (const plane of [shared, alone]) await plane.create();
    await inRounds(pace, context, async () => {
      for (let count = 0; count < CALLS_A_ROUND; count++) {
        samples.push(await timed(() => shared.create()));
        baseline.push(await timed(() => alone.create()));
      }
    });
    return [
      {
        ...{ row: 'live-store', what: 'create through an API with Redis', unit: 'ms', samples },
        baseline: { what: 'in memory', samples: baseline },
        targets: [],
      },
    ];
  },
};
