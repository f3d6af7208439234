import { Type } from 'typebox';
import type { Row } from './writing/spool.ts';

/** 2261-07-14, near the last moment that a column can hold, Unix ms. */
const LAST_MS = 9_200_000_000_000;

/** Of a row as it is read. */
export const Milliseconds = Type.Integer({ minimum: 0, maximum: LAST_MS });

/** The nearest moment that a column can hold. */
export function inRange(timeMs: number): number {
  return Math.min(Math.max(Math.trunc(timeMs), 0), LAST_MS);
}

/** As columns of times take it. */
export function timeText(timeMs: number): string {
  return new Date(inRange(timeMs)).toISOString().replace('T', ' ').slice(0, -1);
}

/** @param columns by name */
export function rowOf(teamId: string, columns: Record<string, unknown>): Row {
  let line = JSON.stringify(columns);
  // The server refuses halves of pairs, which is what is escaped so.
  if (/\\ud[89a-f]/.test(line)) line = JSON.stringify(columns, wellFormed);
  return { teamId, line: `${line}\n` };
}

function wellFormed(_key: string, value: unknown): unknown {
  return typeof value === 'string' ? Buffer.from(value).toString() : value;
}

/** A map of texts that a column holds as JSON. Undefined if it is none. */
export function parseTexts(json: string): Record<string, string> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    const entries = Object.entries(value);
    return entries.every(([, text]) => typeof text === 'string') ? Object.fromEntries(entries) : undefined;
  } catch {
    return undefined;
  }
}
