import { expect, it, vi } from 'vitest';
import { disturb, FaultAt, OPERATIONS } from './disturb.ts';
import { DRIVER_KINDS } from './driver.ts';
import type { Fault } from './process.ts';

vi.mock('node:fs/promises', async (real) => (await import('./files.ts')).faultyFiles(await real()));

const FAULTS: Fault['kind'][] = ['failsBefore', 'failsAfter', 'machineEnds', 'killedBefore', 'killedAfter'];

/** The steps are the same for both kinds of drivers, nearly: the long form tries both. */
const KINDS = process.env.ISLET_LIFECYCLE_OPERATIONS ? DRIVER_KINDS : (['gvisor'] as const);

const cases = KINDS.flatMap((driver) =>
  Object.entries(OPERATIONS).flatMap(([name, operation]) =>
    FAULTS.map((fault) => ({ driver, name, operation, fault })),
  ),
);

it.each(cases)(
  '$driver: $name leaves nothing behind if a step $fault',
  async ({ driver, operation, fault }) => {
    let steps = 0;
    while (await disturb(driver, operation, new FaultAt(steps, { kind: fault } as Fault), fault)) steps++;
    expect(steps).toBeGreaterThan(0);
  },
);
