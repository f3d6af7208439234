import type { SandboxDriver } from '@islet/driver';
import { Durations, inChildSpan, isMeasured } from '@islet/telemetry';

/** What a driver does to machines. */
const STEPS = [
  ...(['boot', 'prepare', 'restore', 'checkpoint', 'snapshot'] as const),
  ...(['freeze', 'thaw', 'kill', 'release'] as const),
] satisfies readonly (keyof SandboxDriver)[];

const STEP = new Durations({
  name: 'orchestrator.driver.duration',
  description: "A driver's steps: boots, restores, checkpoints …",
});

/** A driver whose steps are timed, and are spans of what they are done for. Itself if nobody asks for that. */
export function observedDriver(driver: SandboxDriver): SandboxDriver {
  if (!isMeasured()) return driver;
  return new Proxy(driver, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      const method = value.bind(target) as (...given: unknown[]) => Promise<unknown>;
      return isStep(key) ? observed(target.name, key, method) : method;
    },
  });
}

function observed(driver: string, step: string, method: (...given: unknown[]) => Promise<unknown>) {
  return (...given: unknown[]) =>
    inChildSpan({ part: 'driver', name: `${driver} ${step}`, attributes: aboutMachine(given[0]) }, () =>
      STEP.time({ driver, step }, () => method(...given)),
    );
}

function isStep(key: string | symbol): key is (typeof STEPS)[number] {
  return (STEPS as readonly (string | symbol)[]).includes(key);
}

/** The first argument of each step is a machine, what one is made by, or its id. */
function aboutMachine(subject: unknown): { 'machine.id': string } {
  const id = typeof subject === 'object' && subject !== null ? (subject as { id: unknown }).id : subject;
  return { 'machine.id': String(id) };
}
