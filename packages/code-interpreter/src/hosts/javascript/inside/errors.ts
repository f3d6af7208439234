import { inspect } from 'node:util';
import { CellSyntaxError } from './cell.ts';

export interface ErrorOutput {
  type: 'error';
  name: string;
  value: string;
  traceback: string;
}

/** Whatever was thrown, as the output of a cell. */
export function errorOutput(thrown: unknown, code: string): ErrorOutput {
  if (thrown instanceof CellSyntaxError) return { ...named(thrown), traceback: pointAt(thrown, code) };
  if (!(thrown instanceof Error)) {
    const value = inspect(thrown, { colors: false });
    return { type: 'error', name: 'Uncaught', value, traceback: `Uncaught ${value}` };
  }
  return { ...named(thrown), traceback: traceOf(thrown) };
}

export function interrupted(): ErrorOutput {
  const value = 'The execution was interrupted';
  return { type: 'error', name: 'Interrupted', value, traceback: `Interrupted: ${value}` };
}

function named({ name, message }: Error): Omit<ErrorOutput, 'traceback'> {
  return { type: 'error', name: String(name), value: String(message) };
}

function pointAt({ name, message, line, column }: CellSyntaxError, code: string): string {
  const shown = code.split('\n')[line - 1] ?? '';
  return `${name}: ${message} (line ${line})\n\n${shown}\n${' '.repeat(column)}^`;
}

/** The frames of cells and of what they call, without those of this program and of Node; causes as Node shows them. */
function traceOf(error: Error): string {
  const text =
    typeof error.stack === 'string' ? inspect(error, { colors: false }) : `${error.name}: ${error.message}`;
  const own = import.meta.url;
  return (
    text
      .split('\n')
      .filter(
        (line) =>
          !/^\s+at /.test(line) ||
          !(line.includes(own) || line.includes('(node:') || line.includes('at node:')),
      )
      // A cell is called by the last line of its script, which it does not have itself.
      .filter((line, index, lines) => index < lines.length - 1 || !/^\s+at \S*\[cell \d+\]:\d+:3$/.test(line))
      .join('\n')
  );
}
