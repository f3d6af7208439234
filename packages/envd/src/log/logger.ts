/** Levels of log records, from the least to the most urgent. */
const LEVELS = { debug: 10, info: 20, warn: 30, error: 40 } as const;

export type LogLevel = keyof typeof LEVELS;

/** Writes one JSON object a line. Nothing secret may be handed to it. */
export interface Logger {
  log(level: LogLevel, message: string, fields?: Record<string, unknown>): void;
}

/** Records a minute beyond which the rest is only counted, so that a flood cannot fill the node's disk. */
const MAX_RECORDS_A_MINUTE = 300;
const MAX_TEXT = 2000;

export function createLogger(options: {
  level: LogLevel;
  write: (line: string) => void;
  now: () => number;
}): Logger {
  let minute = 0;
  let records = 0;
  let dropped = 0;
  const emit = (record: Record<string, unknown>) => options.write(`${JSON.stringify(record)}\n`);
  return {
    log(level, message, fields = {}) {
      if (LEVELS[level] < LEVELS[options.level]) return;
      const now = options.now();
      const current = Math.floor(now / 60_000);
      if (current !== minute) {
        if (dropped > 0) emit({ time: now, level: 'warn', msg: `${dropped} log records dropped` });
        minute = current;
        records = 0;
        dropped = 0;
      }
      if (++records > MAX_RECORDS_A_MINUTE) {
        dropped++;
        return;
      }
      emit({ time: now, level, msg: message, ...shorten(fields) });
    },
  };
}

function shorten(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => {
      const text = value instanceof Error ? (value.stack ?? value.message) : value;
      return [key, typeof text === 'string' ? text.slice(0, MAX_TEXT) : text];
    }),
  );
}
