import { transformSync } from '@swc/wasm-typescript';
import { CellSyntaxError } from './cell.ts';

/** What swc throws, which is no Error. */
interface Refusal {
  code: string;
  message: string;
  startLine: number;
  startColumn: number;
}

/**
 * TypeScript without its types, by what Node itself strips them with. Types become spaces, so that lines and columns stay;
 * only enums, namespaces and parameter properties are rewritten.
 * @throws CellSyntaxError
 */
export function stripTypes(code: string): string {
  try {
    return strip(code, 'strip-only');
  } catch (refusal) {
    if ((refusal as Refusal).code !== 'UnsupportedSyntax') throw toSyntaxError(refusal as Refusal);
  }
  try {
    return strip(code, 'transform');
  } catch (refusal) {
    throw toSyntaxError(refusal as Refusal);
  }
}

function strip(code: string, mode: 'strip-only' | 'transform'): string {
  // Imports stay, whether this cell uses them or a later one.
  const transform = { verbatimModuleSyntax: true };
  return transformSync(code, { mode, module: true, filename: 'cell.ts', transform }).code;
}

function toSyntaxError({ message, startLine, startColumn }: Refusal): CellSyntaxError {
  return new CellSyntaxError(message, startLine, startColumn);
}
