import type { IncomingMessage } from 'node:http';
import { type Static, type TSchema, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { isVariable } from '../sandbox/globals.ts';

/** Of a body, with its code and variables. */
const MOST_BYTES = 32 * 1024 * 1024;

/** The request cannot be answered as it is. */
export class RequestError extends Error {
  override readonly name = 'RequestError';

  constructor(
    readonly status: 400 | 404 | 405 | 413 | 422,
    message: string,
    /** The field of the body that is wrong. */
    readonly field?: string,
  ) {
    super(message);
  }
}

const optional = <T extends TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));

const Execute = Type.Object({
  code: Type.String(),
  context_id: optional(Type.String()),
  language: optional(Type.String()),
  env_vars: optional(Type.Record(Type.String(), Type.String())),
});

const CreateContext = Type.Object({
  language: optional(Type.String()),
  cwd: optional(Type.String()),
});

const checks = { execute: Compile(Execute), createContext: Compile(CreateContext) };

export interface ExecuteRequest {
  code: string;
  contextId: string | undefined;
  language: string | undefined;
  env: Record<string, string>;
}

/** @throws RequestError */
export async function readExecute(request: IncomingMessage): Promise<ExecuteRequest> {
  const body = checked<Static<typeof Execute>>(checks.execute, await readJson(request));
  const env = body.env_vars ?? {};
  for (const [name, value] of Object.entries(env)) {
    if (!isVariable(name, value)) {
      throw new RequestError(
        422,
        `${JSON.stringify(name)} cannot be a variable: no "=" in names, no NUL`,
        'env_vars',
      );
    }
  }
  // An empty text means the same as none.
  const contextId = body.context_id || undefined;
  const language = body.language || undefined;
  if (contextId !== undefined && language !== undefined) {
    throw new RequestError(400, 'Only one of context_id or language can be provided');
  }
  return { code: body.code, contextId, language, env };
}

/** @throws RequestError */
export async function readCreateContext(
  request: IncomingMessage,
): Promise<{ language: string; cwd: string | undefined }> {
  const body = checked<Static<typeof CreateContext>>(checks.createContext, (await readJson(request)) ?? {});
  if (body.cwd?.includes('\0')) throw new RequestError(422, 'a path has no NUL', 'cwd');
  return { language: body.language || 'python', cwd: body.cwd || undefined };
}

interface Check {
  Check(value: unknown): boolean;
  Errors(value: unknown): Array<{ instancePath: string; message: string }>;
}

function checked<T>(check: Check, json: unknown): T {
  if (check.Check(json)) return json as T;
  const [first] = check.Errors(json);
  const path = first?.instancePath.replaceAll('/', '.').slice(1);
  throw new RequestError(422, first?.message ?? 'not as it should be', path || missingField(json));
}

function missingField(json: unknown): string | undefined {
  return typeof json === 'object' && json !== null && !('code' in json) ? 'code' : undefined;
}

/** Undefined for an empty body. */
async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MOST_BYTES)
      throw new RequestError(413, `The body is too large: at most ${MOST_BYTES} bytes`);
    chunks.push(chunk);
  }
  if (length === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new RequestError(422, 'The body is not JSON');
  }
}
