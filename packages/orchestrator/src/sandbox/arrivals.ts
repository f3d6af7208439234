import { type Sandbox, sandboxAlreadyExists, sandboxNotFound } from '@islet/contracts';
import type { Exchange } from '../exchange/exchange.ts';
import type { PeerNode } from '../exchange/peer-objects.ts';
import type { MachineBase } from '../machine/run.ts';
import type { TemplateStore } from '../templates/store.ts';
import type { Departures } from './departures.ts';
import type { RecordStore } from './record.ts';
import { type SandboxTable, view } from './table.ts';

export interface ArrivalsOptions {
  nodeId: () => string;
  /** Undefined: there is nobody to bring anything from. */
  exchange: Exchange | undefined;
  templates: TemplateStore;
  records: RecordStore;
  table: SandboxTable;
  departures: Pick<Departures, 'send'> | undefined;
}

/** Brings here what other nodes have: builds, and paused sandboxes that this one takes over. */
export class Arrivals {
  readonly #options: ArrivalsOptions;

  constructor(options: ArrivalsOptions) {
    this.#options = options;
  }

  /** See `Sandboxes.bringBuild`. */
  async bringBuild(buildId: string, peer?: PeerNode): Promise<void> {
    const { exchange, templates } = this.#options;
    if (!exchange || templates.has(buildId)) return;
    const build = await exchange.bringBuild(buildId, peer);
    if (build && !templates.has(buildId)) await templates.adopt(build);
  }

  /** See `Sandboxes.bringBase`. */
  async bringBase(base: MachineBase, buildId: string, peer?: PeerNode): Promise<void> {
    await this.#options.exchange?.bringBase(base, peer);
    // Of a sandbox's state comes only what differs from that of its build, if that is here.
    if (peer) await this.bringBuild(buildId, peer);
  }

  /** See `Sandboxes.adopt`; in the sandbox's turn. */
  async adopt(sandboxId: string, executionId: string, peer?: PeerNode): Promise<Sandbox> {
    const { departures, exchange, nodeId, records, table } = this.#options;
    const known = table.get(sandboxId);
    // The answer to an earlier call was lost.
    if (known?.sandbox.executionId === executionId && !known.run) return view(known);
    if (known) throw sandboxAlreadyExists(sandboxId);
    const brought = await exchange?.bringSandbox({ config: { sandboxId }, executionId }, peer);
    if (!exchange || !brought) throw sandboxNotFound(sandboxId);
    const entry = table.add({ ...brought, run: undefined });
    entry.sandbox.nodeId = nodeId();
    try {
      await records.make(sandboxId);
      await table.save(entry);
    } catch (error) {
      await table.drop(sandboxId);
      await exchange.leaveSandbox(brought);
      throw error;
    }
    // One that moves goes on in a moment.
    if (!entry.sandbox.moving) departures?.send(entry);
    return view(entry);
  }
}
