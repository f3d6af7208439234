import { formatRateRule, parseRateRule, type RateRule } from '@islet/contracts';
import { sql } from 'drizzle-orm';
import { type AnyPgColumn, check, customType, timestamp } from 'drizzle-orm/pg-core';

/** An instant at millisecond precision: what a JavaScript Date holds, so that a page token compares equal to its row. */
export const instant = (name: string) => timestamp(name, { withTimezone: true, precision: 3, mode: 'date' });

export const createdAt = () => instant('created_at').notNull().defaultNow();
export const updatedAt = () => instant('updated_at').notNull().defaultNow();

/** Text by text, kept as JSON: `jsonb` takes no NUL. */
export const textMap = customType<{ data: Record<string, string>; driverData: string }>({
  dataType: () => 'text',
  toDriver: (map) => JSON.stringify(map),
  fromDriver: (text) => JSON.parse(text) as Record<string, string>,
});

/** How often somebody may ask, as operators write it: `50/s:200`. */
export const rateRule = customType<{ data: RateRule; driverData: string }>({
  dataType: () => 'text',
  toDriver: formatRateRule,
  fromDriver: parseRateRule,
});

/** Keeps out what could not be read again: a team whose rate cannot be read could not be authenticated. */
export const isRateRule = (name: string, column: AnyPgColumn) =>
  check(name, sql`${column} ~ '^(none|[1-9][0-9]{0,6}/[smh](:[1-9][0-9]{0,6})?)$'`);
