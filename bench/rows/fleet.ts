import { followRoutes, RouteTable } from '@islet/catalog';
import { ControlPlaneUnderTest } from '../islet/simulated-control-plane.ts';
import { inRounds } from '../pace/rounds.ts';
import { timed } from '../pace/timed.ts';
import type { Measurement } from '../report/measurement.ts';
import type { Row, RowContext } from './row.ts';

const FEW = { nodes: 1, sandboxes: 10 };
const MANY = { full: { nodes: 1_000, sandboxes: 100_000 }, quick: { nodes: 100, sandboxes: 10_000 } };
const CALLS_A_ROUND = 10;
/** One takes less than a clock tells. */
const LOOK_UPS = 100_000;
const MB = 1e6;

interface Plane {
  plane: ControlPlaneUnderTest;
  /** As an edge has the routes. */
  table: RouteTable;
}

const CALLS = {
  create: ({ plane }: Plane) => plane.create(),
  'list, a page of 10': ({ plane }: Plane) => plane.list(10),
  get: ({ plane }: Plane) => plane.get(),
  [`${LOOK_UPS} look-ups of a route at the edge`]: async ({ plane, table }: Plane) => {
    for (let count = 0; count < LOOK_UPS; count++) {
      if (!table.find(plane.anyId)) throw new Error('the edge does not know the route');
    }
  },
} as const;

export const fleetRow: Row = {
  name: 'fleet',
  description: `create, list, get, a route's look-up and an API's memory with ${MANY.full.nodes} simulated nodes and ${MANY.full.sandboxes} sandboxes, against one node with ${FEW.sandboxes}`,
  async measure(context) {
    const size = MANY[context.size];
    await using few = await ControlPlaneUnderTest.open(FEW.sandboxes);
    await using many = await ControlPlaneUnderTest.open(size.sandboxes, undefined, size.nodes);
    const planes: [Plane, Plane] = [await withTable(many), await withTable(few)];
    const [of, ofFew] = [
      `${size.nodes} nodes, ${size.sandboxes} known`,
      `${FEW.nodes} node, ${FEW.sandboxes} known`,
    ];
    const measurements: Measurement[] = [];
    for (const [name, call] of Object.entries(CALLS)) {
      const [samples, base] = await measureCall(context, planes, call);
      measurements.push({
        ...{ row: 'fleet', what: `${name}; ${of}`, unit: 'ms', samples },
        ...{ baseline: { what: ofFew, samples: base }, targets: [{ kind: 'ratio-at-most', value: 2 }] },
      });
    }
    measurements.push({
      ...{ row: 'fleet', what: `heap that an API holds; ${of}`, unit: 'MB', samples: [many.heldBytes / MB] },
      ...{ baseline: { what: ofFew, samples: [few.heldBytes / MB] }, targets: [] },
    });
    return measurements;
  },
};

async function withTable(plane: ControlPlaneUnderTest): Promise<Plane> {
  const table = new RouteTable(Date.now);
  followRoutes(plane.routes, table, () => undefined);
  const deadline = Date.now() + 60_000;
  while (!table.find(plane.anyId)) {
    if (Date.now() > deadline) throw new Error('the edge is not told of the routes');
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { plane, table };
}

async function measureCall(
  context: RowContext,
  planes: [Plane, Plane],
  call: (plane: Plane) => Promise<void>,
): Promise<[number[], number[]]> {
  const pace = context.size === 'full' ? { rounds: 30, budgetMs: 30_000 } : { rounds: 5, budgetMs: 6_000 };
  const samples: [number[], number[]] = [[], []];
  for (const plane of planes) await call(plane);
  await inRounds(pace, context, async () => {
    for (const [index, plane] of planes.entries()) {
      for (let count = 0; count < CALLS_A_ROUND; count++)
        samples[index]?.push(await timed(() => call(plane)));
    }
  });
  return samples;
}
