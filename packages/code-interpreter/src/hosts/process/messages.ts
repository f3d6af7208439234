import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { ProtocolError } from './frames.ts';

/** A host that writes a longer one is ended. */
export const MAX_MESSAGE_BYTES = 32 * 1024 * 1024;

const Message = Type.Union([
  Type.Object({ type: Type.Literal('ready') }),
  Type.Object({ type: Type.Literal('count'), executionCount: Type.Integer({ minimum: 0 }) }),
  Type.Object({ type: Type.Literal('stdout'), text: Type.String() }),
  Type.Object({ type: Type.Literal('stderr'), text: Type.String() }),
  Type.Object({
    type: Type.Literal('result'),
    main: Type.Boolean(),
    data: Type.Record(Type.String(), Type.Unknown()),
  }),
  Type.Object({
    type: Type.Literal('error'),
    name: Type.String(),
    value: Type.String(),
    traceback: Type.String(),
  }),
  Type.Object({ type: Type.Literal('done') }),
]);

/**
 * What a process says over its descriptor 3. First `ready`; then, for each cell, what it puts out, and `done`. What it
 * writes to its stdout and stderr is output of the cell as well, and `done` comes behind it.
 */
export type Message = Static<typeof Message>;

/** What it is told: the next cell. `reseed` asks for new seeds before the code runs. */
export interface ExecuteMessage {
  type: 'execute';
  code: string;
  env: Record<string, string>;
  envAfter: Record<string, string | null>;
  isRehearsal: boolean;
  reseed: boolean;
}

const check = Compile(Message);

/** @throws ProtocolError if it is none */
export function parseMessage(json: unknown): Message {
  if (!check.Check(json)) throw new ProtocolError('a message of a shape that is not known');
  return json;
}
