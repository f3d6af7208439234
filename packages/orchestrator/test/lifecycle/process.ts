import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

/** What goes wrong at a step. */
export type Fault =
  | { kind: 'delay'; ms: number }
  /** The step fails and has done nothing. */
  | { kind: 'failsBefore' }
  /** The step fails after it has done all that it does. */
  | { kind: 'failsAfter' }
  /** The machine that the step is about ends by itself. */
  | { kind: 'machineEnds' }
  /** The node's process is killed, before the step has an effect or before it hears of it. */
  | { kind: 'killedBefore' }
  | { kind: 'killedAfter' };

/** Says what goes wrong at a step; undefined: nothing does. */
export type FaultPlan = (step: string) => Fault | undefined;

export class SimulatedFault extends Error {
  override name = 'SimulatedFault';
  code = 'EIO';
}

const current = new AsyncLocalStorage<NodeProcess>();

/**
 * A process of a node, as far as it can be killed: after `kill` none of its calls to the host has an effect any more, nor
 * ever returns. What it began runs on in this process, and comes no further than its next call.
 */
export class NodeProcess {
  readonly #plan: FaultPlan;
  readonly #endMachine: (machineId: string) => void;
  #died = () => {};
  readonly death: Promise<void>;
  /** Calls that the kernel has begun, which it ends also if the process is killed. */
  readonly #underWay = new Set<Promise<unknown>>();
  isAlive = true;

  constructor(plan: FaultPlan, endMachine: (machineId: string) => void) {
    this.#plan = plan;
    this.#endMachine = endMachine;
    this.death = new Promise((resolve) => {
      this.#died = resolve;
    });
  }

  /** The one that the caller is part of. */
  static current(): NodeProcess | undefined {
    return current.getStore();
  }

  /** Runs work as part of this process, with all that it starts. */
  run<T>(work: () => T): T {
    return current.run(this, work);
  }

  /** Runs what the host does by itself once it was asked: it goes on if the process is killed. */
  static outside<T>(work: () => T): T {
    return current.exit(work);
  }

  kill(): void {
    this.isAlive = false;
    this.#died();
  }

  /** Lets a call of the kernel be waited for. */
  track<T>(call: Promise<T>): Promise<T> {
    this.#underWay.add(call);
    const done = () => this.#underWay.delete(call);
    call.then(done, done);
    return call;
  }

  /** Waits until the kernel has ended all that the process began. */
  async quiet(): Promise<void> {
    await Promise.allSettled(this.#underWay);
  }

  /** A call to the host, at which something may go wrong. */
  async step<T>(name: string, effect: () => Promise<T> | T, machineId?: string): Promise<T> {
    if (!this.isAlive) return never();
    const fault = this.#plan(name);
    if (fault?.kind === 'delay') await sleep(fault.ms);
    if (fault?.kind === 'killedBefore') this.kill();
    if (!this.isAlive) return never();
    if (fault?.kind === 'failsBefore') throw new SimulatedFault(`${name} fails`);
    const outcome = await effect();
    if (fault?.kind === 'killedAfter') this.kill();
    if (!this.isAlive) return never();
    if (fault?.kind === 'machineEnds' && machineId !== undefined) this.#endMachine(machineId);
    if (fault?.kind === 'failsAfter') throw new SimulatedFault(`${name} fails after all was done`);
    return outcome;
  }

  /** A call to the host that only looks, at which nothing goes wrong. */
  async look<T>(effect: () => Promise<T>): Promise<T> {
    if (!this.isAlive) return never();
    const seen = await effect();
    return this.isAlive ? seen : never();
  }
}

function never<T>(): Promise<T> {
  return new Promise(() => {});
}
