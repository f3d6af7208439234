import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type SandboxConfig,
  type Sandbox as SandboxMessage,
  SandboxSchema,
} from './gen/islet/orchestrator/v1/orchestrator_pb.ts';

/** A sandbox as its node tells of it. A message may come without a config; what has none is no sandbox. */
export interface Sandbox extends SandboxMessage {
  config: SandboxConfig;
}

/** Parses what came over the wire or from the disk. Undefined if it names no config. */
export function parseSandbox(message: SandboxMessage): Sandbox | undefined {
  return message.config && (message as Sandbox);
}

type Fields = MessageInitShape<typeof SandboxSchema>;

/** A sandbox with these fields, and the defaults of the protocol for all others. */
export function newSandbox(fields: Fields & { config: NonNullable<Fields['config']> }): Sandbox {
  return create(SandboxSchema, fields) as Sandbox;
}
