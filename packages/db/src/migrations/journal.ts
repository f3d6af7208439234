import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface Migration {
  /** File name without its ending. */
  tag: string;
  /** Unix milliseconds: the order, and what drizzle-kit stores as `created_at`. */
  when: number;
  /** SHA-256 of the file in hex. */
  hash: string;
  statements: string[];
}

interface Journal {
  entries: { tag: string; when: number }[];
}

/** Reads the migrations that drizzle-kit wrote, in order. */
export async function readMigrations(directory: string): Promise<Migration[]> {
  const journal = JSON.parse(await readFile(join(directory, 'meta', '_journal.json'), 'utf8')) as Journal;
  return Promise.all(
    journal.entries.map(async ({ tag, when }) => {
      const text = await readFile(join(directory, `${tag}.sql`), 'utf8');
      return {
        tag,
        when,
        hash: createHash('sha256').update(text).digest('hex'),
        statements: text.split('--> statement-breakpoint'),
      };
    }),
  );
}
