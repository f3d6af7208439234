import { fromJson, type JsonValue, toJson } from '@bufbuild/protobuf';
import { orchestratorProto, parseSandbox, type Sandbox } from '@islet/contracts';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { MachineBase } from '../machine/run.ts';

const { SandboxState } = orchestratorProto;

/** What other nodes are told of a paused sandbox, to take it over. */
const SharedRecord = Type.Object({
  version: Type.Literal(1),
  sandbox: Type.Unknown(),
  base: MachineBase,
  saved: Type.String(),
});
type SharedRecord = Static<typeof SharedRecord>;

/** A paused sandbox as another node can take it over. */
export interface MovableRecord {
  sandbox: Sandbox;
  base: MachineBase;
  /** Digest of its saved state. */
  saved: string;
}

export function sharedRecordOf({ sandbox, base, saved }: MovableRecord): SharedRecord {
  return { version: 1, sandbox: toJson(orchestratorProto.SandboxSchema, sandbox), base, saved };
}

/** Undefined if it is not the paused sandbox of that id and run. */
export function readSharedRecord(
  value: unknown,
  { config: { sandboxId }, executionId }: SandboxName,
): MovableRecord | undefined {
  if (!Value.Check(SharedRecord, value)) return undefined;
  const { base, saved } = value;
  const sandbox = readSandbox(value.sandbox);
  const isMeant = sandbox?.config.sandboxId === sandboxId && sandbox.executionId === executionId;
  return isMeant && sandbox.state === SandboxState.PAUSED ? { sandbox, base, saved } : undefined;
}

function readSandbox(value: unknown): Sandbox | undefined {
  try {
    return parseSandbox(fromJson(orchestratorProto.SandboxSchema, value as JsonValue));
  } catch {
    return undefined; // damaged, or a later version's
  }
}

/** A run of a sandbox. */
export interface SandboxName {
  config: { sandboxId: string };
  executionId: string;
}
