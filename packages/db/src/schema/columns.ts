import { customType, timestamp } from 'drizzle-orm/pg-core';

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
