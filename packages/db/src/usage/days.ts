const DAY_MS = 24 * 3_600_000;

/** A part of a time that lies in one day. */
export interface DayPart {
  /** `2026-12-01`, UTC. */
  day: string;
  seconds: number;
}

/** Splits a time at midnight, UTC. Unix ms; nothing if it is empty. */
export function byDay(fromMs: number, untilMs: number): DayPart[] {
  const parts: DayPart[] = [];
  for (let at = fromMs; at < untilMs; ) {
    const end = Math.min((Math.floor(at / DAY_MS) + 1) * DAY_MS, untilMs);
    parts.push({ day: new Date(at).toISOString().slice(0, 10), seconds: (end - at) / 1000 });
    at = end;
  }
  return parts;
}
