import { invalidStandstill } from '@islet/contracts';

/** A time in which the machine was stopped and its clock went on, Unix ms. */
export interface Standstill {
  from: number;
  to: number;
}

/** @throws IsletError 400 */
export function parseStandstill(value: unknown): Standstill {
  const { from, to } = (value ?? {}) as Record<string, unknown>;
  if (!isTime(from) || !isTime(to) || to < from) {
    throw invalidStandstill();
  }
  return { from, to };
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}
