import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { IsletError, PORTS } from '@islet/contracts';
import { DamagedSnapshotError, type MachineSpec } from '@islet/driver';
import type { Slot } from '@islet/network';
import { type Contents, Guest, type Manner } from './guest.ts';
import { NodeProcess } from './process.ts';

/** A machine, as the host runs it. */
export interface HostMachine {
  id: string;
  netns: string;
  /** Undefined: it was prepared, and no program runs in it yet. */
  guest: Guest | undefined;
  isAlive: boolean;
  /** It was made ahead, and others come first until it goes on. */
  yields: boolean;
}

/** A network slot, and its owner's rules with the run that they are of. */
export interface HostSlot {
  slot: Slot;
  rules: { denyOut: readonly string[]; executionId: string } | undefined;
}

const MEMORY = 'memory.json';
/** Without it a saved state does not start: what a node has to do behind the machine's end was not done. */
const FINISHED = 'finished';

/** Second octets of the blocks of 127.0.0.0/8 that hosts take, a block each. */
const BLOCKS = { first: 64, count: 128 };

/** All that outlives a node's process: machines, network slots, what is mounted for machines. */
export class SimulatedHost {
  readonly machines = new Map<string, HostMachine>();
  /** Those that were given out and not given up. */
  readonly slots = new Map<number, HostSlot>();
  readonly volumes = new Set<string>();
  /** Volumes by the machines that see them. */
  readonly mounts = new Map<string, Set<string>>();
  /** Machines for which nothing is done, since they are being saved. */
  readonly held = new Set<string>();
  /** What a node did that it must never do. */
  readonly violations: string[] = [];
  /** Ids of all machines that there ever were. */
  readonly #ids = new Set<string>();
  readonly #manner: (path: string) => Manner;
  readonly #block: number;
  readonly #claim: Server;
  #nextSlot = 2;
  #nextMachine = 0;

  private constructor(claim: Server, block: number, manner: (path: string) => Manner) {
    this.#claim = claim;
    this.#block = block;
    this.#manner = manner;
  }

  /** Takes a block of addresses that no other host has. */
  static async open(manner: (path: string) => Manner = () => 'well'): Promise<SimulatedHost> {
    const start = Math.floor(Math.random() * BLOCKS.count);
    for (let tries = 0; tries < BLOCKS.count; tries++) {
      const block = BLOCKS.first + ((start + tries) % BLOCKS.count);
      const claim = createServer();
      const isFree = await new Promise<boolean>((resolve) => {
        claim.once('error', () => resolve(false));
        claim.listen(PORTS.envd, `127.${block}.0.1`, () => resolve(true));
      });
      if (isFree) return new SimulatedHost(claim, block, manner);
    }
    throw new Error('all blocks of addresses for simulated hosts are taken');
  }

  close(): void {
    for (const id of [...this.machines.keys()]) this.end(id);
    this.#claim.close();
  }

  /** What follows from a node's process being killed: its connections are gone. */
  cutConnections(): void {
    for (const { guest } of this.machines.values()) guest?.cut();
  }

  newMachineId(): string {
    return `m${this.#nextMachine++}`;
  }

  /** What the machine at an address holds; undefined if none runs there. */
  contentsAt(address: string): Contents | undefined {
    return this.machineIn(this.slotWith(address)?.slot.netns)?.guest?.contents;
  }

  /** The slot of an address that was given out and not given up. */
  slotWith(address: string): HostSlot | undefined {
    return [...this.slots.values()].find(({ slot }) => slot.sandboxAddress === address);
  }

  /** The machine that runs in a network namespace. */
  machineIn(netns: string | undefined): HostMachine | undefined {
    return [...this.machines.values()].find((each) => each.netns === netns && each.isAlive);
  }

  /** Makes a machine in which no program runs yet. */
  prepare({ id, netns, isAhead = false }: MachineSpec): HostMachine {
    if (this.#ids.has(id)) this.violations.push(`machine ${id} was made twice`);
    if (!this.#slotOf(netns)) this.violations.push(`machine ${id} was made in a slot that was given up`);
    this.#ids.add(id);
    const machine = { id, netns, guest: undefined, isAlive: true, yields: isAhead };
    this.machines.set(id, machine);
    return machine;
  }

  /** Starts programs in a machine. */
  async start(spec: MachineSpec, contents: Contents): Promise<void> {
    const machine = this.machines.get(spec.id) ?? this.prepare(spec);
    const address = this.#slotOf(spec.netns)?.sandboxAddress ?? '';
    const guest = await NodeProcess.outside(() => Guest.start(address, { ...contents }, this.#manner));
    if (machine.isAlive) machine.guest = guest;
    else guest.end();
  }

  /** Has a machine go on, whether it stood still or not. */
  thaw(id: string): void {
    const machine = this.machines.get(id);
    if (machine) machine.yields = false;
    machine?.guest?.thaw();
  }

  end(id: string): void {
    const machine = this.machines.get(id);
    if (!machine?.isAlive) return;
    machine.isAlive = false;
    machine.guest?.end();
  }

  /** Writes what a machine holds that is nobody into a folder. */
  async saveBlank(dir: string): Promise<void> {
    await writeFile(join(dir, MEMORY), JSON.stringify({ file: 'blank', memory: 'blank' }));
    await finishSaved(dir);
  }

  /** Writes what a machine holds into a folder; the machine stands still meanwhile. */
  save(id: string, dir: string): Promise<void> {
    return NodeProcess.outside(async () => {
      const machine = this.machines.get(id);
      if (!machine?.isAlive || !machine.guest) throw new Error(`machine ${id} does not run`);
      await writeFile(join(dir, MEMORY), JSON.stringify(machine.guest.contents));
    });
  }

  slotAt(index: number): Slot {
    return {
      index,
      netns: `simulated-${this.#block}-${index}`,
      hostInterface: `sim${index}`,
      hostAddress: '127.0.0.1',
      sandboxAddress: `127.${this.#block}.${index >> 8}.${index & 255}`,
      sandboxMac: '02:00:00:00:00:00',
    };
  }

  /** No slot comes back: who still asks an address of an ended machine must find nobody. */
  takeSlot(): Slot {
    return this.addSlot(this.#nextSlot++);
  }

  addSlot(index: number): Slot {
    const slot = this.slotAt(index);
    this.slots.set(index, { slot, rules: undefined });
    return slot;
  }

  giveUpSlot({ index, netns }: Slot): void {
    if (!this.slots.delete(index)) this.violations.push(`slot ${index} was given up twice`);
    for (const { id, isAlive } of this.#machinesIn(netns)) {
      if (isAlive) this.violations.push(`slot ${index} was given up under machine ${id}, which runs`);
    }
  }

  mount(machineId: string, volumeIds: readonly string[]): void {
    const mounted = this.mounts.get(machineId) ?? new Set();
    this.mounts.set(machineId, mounted);
    for (const volumeId of volumeIds) {
      if (!this.volumes.has(volumeId)) throw new IsletError(404, `volume ${volumeId} is not there`);
      mounted.add(volumeId);
    }
  }

  unmount(machineId: string): void {
    if (this.machines.get(machineId)?.isAlive) {
      this.violations.push(`volumes were taken from machine ${machineId}, which runs`);
    }
    this.mounts.delete(machineId);
  }

  #machinesIn(netns: string): HostMachine[] {
    return [...this.machines.values()].filter((machine) => machine.netns === netns);
  }

  #slotOf(netns: string): Slot | undefined {
    return [...this.slots.values()].find(({ slot }) => slot.netns === netns)?.slot;
  }
}

/** Does what is left to do behind a saved machine's end. */
export async function finishSaved(dir: string): Promise<void> {
  if (!(await readdir(dir)).includes(MEMORY)) throw new DamagedSnapshotError(`${dir} is not whole`);
  await writeFile(join(dir, FINISHED), '');
}

/** What a folder that `save` wrote keeps. @throws Error if it cannot be restored */
export async function readSaved(dir: string): Promise<Contents> {
  try {
    await readFile(join(dir, FINISHED));
    return JSON.parse(await readFile(join(dir, MEMORY), 'utf8'));
  } catch (error) {
    throw new DamagedSnapshotError(`cannot restore ${dir}`, { cause: error });
  }
}
