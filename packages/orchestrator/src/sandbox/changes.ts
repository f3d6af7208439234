import { lifeTooLong, type orchestratorProto, Undo } from '@islet/contracts';
import type { SandboxNetwork } from '../machine/ports.ts';
import type { RunningEntry, SandboxTable } from './table.ts';

export interface EndChange {
  /** Unix ms. */
  endAtMs: number;
  /** An earlier end changes nothing. */
  onlyExtend: boolean;
  /** Unix ms. */
  nowMs: number;
}

/**
 * Moves the end of a running sandbox's life, never past its tier's longest life.
 * @throws IsletError 400 if its longest life is over already
 */
export async function changeEnd(
  table: SandboxTable,
  entry: RunningEntry,
  { endAtMs, onlyExtend, nowMs }: EndChange,
): Promise<void> {
  const { sandbox } = entry;
  const latest = sandbox.startedAtMs + sandbox.config.maxLengthMs;
  if (latest <= nowMs) throw lifeTooLong();
  const end = Math.min(endAtMs, latest);
  if (onlyExtend && end <= sandbox.endAtMs) return;
  const before = sandbox.endAtMs;
  sandbox.endAtMs = end;
  await table.save(entry).catch((error: unknown) => {
    sandbox.endAtMs = before;
    throw error;
  });
  table.ends.set(sandbox.config.sandboxId, end);
}

/** Replaces a running sandbox's egress rules; connections that they forbid are cut. If that fails the earlier ones hold. */
export async function changeEgress(
  table: SandboxTable,
  entry: RunningEntry,
  { network, egress }: { network: SandboxNetwork; egress: orchestratorProto.Egress },
): Promise<void> {
  const { config, executionId } = entry.sandbox;
  const slot = network.slot(entry.run.slotIndex);
  const before = config.egress;
  const ownerWith = (rules: typeof before) => ({ config: { ...config, egress: rules }, executionId });
  const undo = new Undo();
  try {
    undo.add('the network rules', () => network.setEgress(slot, ownerWith(before)));
    await network.setEgress(slot, ownerWith(egress));
    config.egress = egress;
    undo.add('the rules that are written down', () => Object.assign(config, { egress: before }));
    await table.save(entry);
  } catch (error) {
    throw await undo.after(error);
  }
}
