import { Value } from 'typebox/value';
import { measureJson } from '../../packages/api/src/http/json-scan.ts';
import { RecipeShape } from '../../packages/api/src/templates/builds/shapes.ts';
import { BuildError } from '../../packages/template-manager/src/builds/build-error.ts';
import {
  type BuildContext,
  commandEnv,
  VariablesTooLongError,
  withVariables,
} from '../../packages/template-manager/src/steps/context.ts';
import { parseSteps } from '../../packages/template-manager/src/steps/step.ts';
import type { FuzzTarget } from '../target.ts';

/** What Linux passes to a program at the most, in characters, with room for its arguments. */
const MOST_CHARACTERS = 1_200_000;

export const target: FuzzTarget = {
  description: "a client's recipe of a template: its JSON, its steps, and the variables that these set",
  run(input) {
    const value = parsed(input);
    if (value === undefined || !Value.Check(RecipeShape, value)) return;
    const requests = value.steps?.map(({ args, filesHash, force, type }) => ({
      ...{ type, args: args ?? [], filesHash: filesHash ?? undefined, force: force ?? false },
    }));
    try {
      let context: BuildContext = { env: {}, user: 'user', workdir: undefined };
      for (const { action } of parseSteps(requests ?? [])) {
        if (action.kind === 'env') context = withVariables(context, action.variables);
        if (action.kind === 'copy' && !/^[0-9a-f]{64}$/.test(action.filesHash))
          throw new TypeError(`an archive '${action.filesHash}'`);
        if (action.kind === 'copy' && (action.mode ?? 0) > 0o7777) throw new RangeError('no mode');
      }
      assertPassable(commandEnv(context));
    } catch (error) {
      if (!(error instanceof BuildError || error instanceof VariablesTooLongError)) throw error;
    }
  },
};

/** What the API parses is no more than it counted before. */
function parsed(input: Buffer): unknown {
  let value: unknown;
  try {
    value = JSON.parse(input.toString('utf8'));
  } catch {
    return undefined;
  }
  const counted = measureJson(input);
  const made = sizeOf(value);
  // A container's first element has no comma before it: that is what it counts for itself.
  if (made.members > 2 * counted.values || made.depth > counted.depth)
    throw new RangeError(`${made.members} members in ${made.depth} levels`);
  return value;
}

function sizeOf(value: unknown): { members: number; depth: number } {
  let members = 0;
  let deepest = 0;
  const left: [unknown, number][] = [[value, 1]];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const [each, depth] = next;
    if (typeof each !== 'object' || each === null) continue;
    deepest = Math.max(deepest, depth);
    for (const member of Object.values(each)) {
      members++;
      left.push([member, depth + 1]);
    }
  }
  return { members, depth: deepest };
}

function assertPassable(env: Readonly<Record<string, string>>): void {
  let characters = 0;
  for (const [name, text] of Object.entries(env)) {
    if (name.includes('=') || name.includes('\0') || text.includes('\0'))
      throw new TypeError(`a variable '${name}'`);
    characters += name.length + text.length;
  }
  if (characters > MOST_CHARACTERS) throw new RangeError(`variables of ${characters} characters`);
}
