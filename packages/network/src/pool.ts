import { readdir, readFile } from 'node:fs/promises';
import { networkNamespacesFailed, networkSlotsInUse, nodeStopping } from '@islet/contracts';
import type { Exec } from '@islet/host';
import { apart, type Logger } from '@islet/telemetry';
import { SLOT_COUNT, type Slot, type Subnet, slotAt } from './addresses.ts';
import { destroyBatch, guestCreateBatch, hostCreateBatch, slotIndices } from './commands.ts';
import { type Flow, parseFlows } from './flows.ts';
import { connectedAddresses } from './quiet.ts';
import {
  bindScript,
  type EgressRules,
  egressScript,
  placeOf,
  type RulesInPlace,
  steerScript,
  tableName,
  tableScript,
  unbindScript,
} from './rules.ts';
import { steeringBatch, unsteeringBatch } from './steering.ts';
import { removeTapBatch, removeTranslationScript, tapBatch, translationScript } from './tap.ts';

/** Most slots made or removed by one call of `ip`: longer batches would keep a waiting create from its slot. */
const BATCH = 8;

export interface NetworkPoolOptions {
  instance: string;
  subnet: Subnet;
  /** Resolvers that sandboxes may ask even if they lie in a private range. */
  resolvers: readonly string[];
  /** How sandboxes use a slot: its interface as it is, or a tap for a virtual machine, beside it in the namespace. */
  attachment: 'interface' | 'tap';
  /** Slots kept ready. */
  ahead: number;
  exec: Exec;
  logger: Logger;
}

/**
 * Network slots, made ahead of demand and removed after use, off the path of any request.
 * A used slot is never given to another sandbox: its connections, counters and neighbours die with it. Indices go
 * round, so that an address comes back as late as possible.
 */
export class NetworkPool {
  readonly #options: NetworkPoolOptions;
  readonly #ready: Slot[] = [];
  readonly #waiting: { resolve: (slot: Slot) => void; reject: (error: unknown) => void }[] = [];
  readonly #discarded: Slot[] = [];
  readonly #used = new Set<number>();
  /** What is in the table of slots that have rules. */
  readonly #rules = new Map<number, RulesInPlace>();
  #next = 0;
  #work: Promise<void> | undefined;
  #closing = false;

  private constructor(options: NetworkPoolOptions) {
    this.#options = options;
  }

  /**
   * Sets the firewall up, removes what an earlier process left except the slots in `adopted`, and fills the pool.
   * Returns when the first slots are there.
   */
  static async open(options: NetworkPoolOptions, adopted: readonly AdoptedSlot[]): Promise<NetworkPool> {
    const pool = new NetworkPool(options);
    await pool.#nft(tableScript(options.instance, options.subnet, options.resolvers));
    await pool.#unsteer();
    await options.exec('ip', ['-batch', '-'], { input: steeringBatch(options.subnet) });
    for (const { index } of adopted) pool.#used.add(index);
    pool.#next = (Math.max(-1, ...pool.#used) + 1) % SLOT_COUNT;
    const names = await readdir('/run/netns').catch(() => []);
    const stale = slotIndices(options.instance, names).filter((index) => !pool.#used.has(index));
    if (stale.length > 0) await pool.#remove(stale.map((index) => pool.slot(index)));
    // Until it is bound, nothing leaves a slot: its owner's rules are there before.
    for (const { index, egress } of adopted) await pool.setEgress(pool.slot(index), egress);
    if (adopted.length > 0)
      await pool.#nft(
        bindScript(
          options.instance,
          adopted.map(({ index }) => pool.slot(index)),
        ),
      );
    pool.#startWork();
    await pool.#work;
    return pool;
  }

  slot(index: number): Slot {
    return slotAt(this.#options.instance, this.#options.subnet, index);
  }

  /** A fresh slot. Waits for one to be made where none is ready. @throws IsletError 503 if all are in use. */
  async take(): Promise<Slot> {
    if (this.#closing) throw nodeStopping();
    const ready = this.#ready.shift();
    this.#startWork();
    if (ready) return ready;
    if (this.#used.size >= SLOT_COUNT) throw networkSlotsInUse(SLOT_COUNT);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#startWork();
    });
  }

  /** As `take`, for a sandbox that uses the slot's interface whatever the others do. */
  async takeInterface(): Promise<Slot> {
    const slot = await this.take();
    if (this.#options.attachment === 'interface') return slot;
    try {
      await this.#options.exec('ip', ['-n', slot.netns, '-batch', '-'], { input: removeTapBatch() });
      await this.#nftInside(slot, removeTranslationScript());
      return slot;
    } catch (error) {
      this.discard(slot);
      throw error;
    }
  }

  /** How many there are now. `used` counts those that are ready, too. */
  slots(): { ready: number; used: number; total: number; waiting: number } {
    const [ready, waiting] = [this.#ready.length, this.#waiting.length];
    return { ready, waiting, used: this.#used.size, total: SLOT_COUNT };
  }

  /** Gives a slot up; it is removed soon after. Its sandbox must be dead. */
  discard(slot: Slot): void {
    this.#discarded.push(slot);
    this.#startWork();
  }

  /** Applies an owner's rules from now on. What a gated slot's owner does not allow any more ends. */
  async setEgress(slot: Slot, rules: EgressRules): Promise<void> {
    const before = this.#rules.get(slot.index) ?? NO_RULES;
    const script = egressScript(this.#options.instance, slot, rules, before);
    if (script === '') return;
    await this.#nft(script);
    const after = placeOf(rules);
    if (after.chain || after.gated) this.#rules.set(slot.index, after);
    else this.#rules.delete(slot.index);
  }

  /** Has TCP of gated slots come to a port of the loopback address. Until then it is refused. */
  async steerTo(port: number): Promise<void> {
    await this.#nft(steerScript(this.#options.instance, this.#options.subnet, port));
  }

  /** What sandboxes began without the gateway in the last minute, and what of it was refused. */
  async flows(): Promise<{ allowed: Flow[]; denied: Flow[] }> {
    const list = async (set: string) => {
      const table = tableName(this.#options.instance);
      return parseFlows(await this.#options.exec('nft', ['-j', '-n', 'list', 'set', 'inet', table, set]));
    };
    return { allowed: await list('allowed'), denied: await list('denied') };
  }

  /** Removes every slot and the firewall table. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#work;
    for (const waiting of this.#waiting.splice(0)) waiting.reject(nodeStopping());
    await this.#remove([...this.#used].map((index) => this.slot(index)));
    await this.#nft(`delete table inet ${tableName(this.#options.instance)}\n`);
    await this.#unsteer();
  }

  /** Takes the way to the gateway away, as far as it is there. */
  async #unsteer(): Promise<void> {
    const input = unsteeringBatch(this.#options.subnet);
    await this.#options.exec('ip', ['-force', '-batch', '-'], { input }).catch(() => undefined);
  }

  #startWork(): void {
    if (this.#work || this.#closing) return;
    this.#work = apart(() => this.#run()).finally(() => {
      this.#work = undefined;
    });
  }

  /** Makes before it removes: a create may be waiting. */
  async #run(): Promise<void> {
    while (!this.#closing) {
      const missing = Math.min(
        this.#waiting.length + this.#options.ahead - this.#ready.length,
        SLOT_COUNT - this.#used.size,
        BATCH,
      );
      if (missing > 0) {
        try {
          await this.#make(missing);
        } catch (error) {
          this.#options.logger.error({ err: error }, 'network slots could not be made');
          const failed = networkNamespacesFailed(error);
          for (const waiting of this.#waiting.splice(0)) waiting.reject(failed);
          return;
        }
      } else if (this.#discarded.length > 0) {
        const slots = this.#discarded.splice(0, BATCH);
        await this.#remove(slots).catch((error) => {
          this.#options.logger.error({ err: error }, 'network slots could not be removed');
        });
      } else {
        return;
      }
    }
  }

  /**
   * The next slots that nobody has. One comes last whose earlier owner the host still has a connection with, such as that of a
   * process that was killed: until it is over, which takes up to two minutes, a sandbox of that address could not be saved.
   */
  #choose(count: number, connected: ReadonlySet<string>): Slot[] {
    const [free, last]: [Slot[], Slot[]] = [[], []];
    for (let step = 0; step < SLOT_COUNT && free.length < count; step++) {
      const index = (this.#next + step) % SLOT_COUNT;
      if (this.#used.has(index)) continue;
      const slot = this.slot(index);
      (connected.has(slot.sandboxAddress) ? last : free).push(slot);
    }
    return [...free, ...last].slice(0, count);
  }

  async #make(count: number): Promise<void> {
    const slots = this.#choose(count, connectedAddresses(await readFile('/proc/net/tcp', 'utf8')));
    for (const { index } of slots) {
      this.#used.add(index);
      this.#next = (index + 1) % SLOT_COUNT;
    }
    try {
      await this.#options.exec('ip', ['-batch', '-'], { input: hostCreateBatch(slots) });
      for (const slot of slots) {
        const tap = this.#options.attachment === 'tap';
        const batch = guestCreateBatch(slot) + (tap ? tapBatch() : '');
        await this.#options.exec('ip', ['-n', slot.netns, '-batch', '-'], { input: batch });
        if (tap) await this.#nftInside(slot, translationScript(slot));
      }
      await this.#nft(bindScript(this.#options.instance, slots));
    } catch (error) {
      await this.#remove(slots);
      throw error;
    }
    for (const slot of slots) {
      const waiting = this.#waiting.shift();
      if (waiting) waiting.resolve(slot);
      else this.#ready.push(slot);
    }
  }

  async #remove(slots: readonly Slot[]): Promise<void> {
    if (slots.length === 0) return;
    for (const slot of slots) {
      await this.setEgress(slot, { allowOut: [], denyOut: [] });
    }
    // -force: a slot may be half made, or its veth already gone with its namespace.
    await this.#options
      .exec('ip', ['-force', '-batch', '-'], { input: destroyBatch(slots) })
      .catch(() => undefined);
    const left = slotIndices(this.#options.instance, await readdir('/run/netns'));
    const stuck = slots.filter((slot) => left.includes(slot.index));
    if (stuck.length > 0)
      throw new Error(`namespaces cannot be removed: ${stuck.map((slot) => slot.netns).join(', ')}`);
    for (const slot of slots) {
      // One at a time: an element that was never added must not keep the others.
      await this.#nft(unbindScript(this.#options.instance, [slot])).catch(() => undefined);
      this.#used.delete(slot.index);
    }
  }

  async #nftInside(slot: Slot, script: string): Promise<void> {
    await this.#options.exec('nsenter', [`--net=/run/netns/${slot.netns}`, 'nft', '-f', '-'], {
      input: script,
    });
  }

  async #nft(script: string): Promise<void> {
    await this.#options.exec('nft', ['-f', '-'], { input: script });
  }
}

const NO_RULES: RulesInPlace = { chain: false, gated: false };

/** A slot that an adopted sandbox goes on using. */
export interface AdoptedSlot {
  index: number;
  egress: EgressRules;
}
