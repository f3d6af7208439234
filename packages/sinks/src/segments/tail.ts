import { closeSync, fdatasync, ftruncateSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { frame, readFrames } from './frames.ts';
import { behind, type Entry, keyText, parseRow, type Row, rowText } from './rows.ts';

/** What a row takes beside its text, in memory and on disk, bytes. */
const ROW_BYTES = 64;

/** The newest rows: in memory for who reads, and appended to a file for who starts next. */
export class Tail {
  readonly path: string;
  /** By key; ascending by time, those of one moment in the order in which they came. */
  readonly rows = new Map<string, Entry[]>();
  /** By team. */
  readonly teamBytes = new Map<string, number>();
  readonly #fd: number;
  /** Of the file. */
  #length = 0;
  #bytes = 0;
  #isDirty = false;
  /** When the first of the rows came, Unix ms; undefined: it is empty. */
  beganAtMs: number | undefined;

  /** Opens the file, with all that is whole in it. What a crash cut short is cut off. */
  constructor(path: string, nowMs: number) {
    this.path = path;
    this.#fd = openSync(path, 'a+', 0o600);
    for (const { payload, end } of readFrames(readFileSync(path))) {
      const row = parseRow(payload.toString());
      if (row) this.#keep(row, nowMs);
      this.#length = end;
    }
    // What is appended now must not stand behind something that has no end.
    ftruncateSync(this.#fd, this.#length);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** When this returns the rows can be read, and outlive the process. @throws what the disk says; nothing is kept then */
  append(rows: readonly Row[], nowMs: number): void {
    if (rows.length === 0) return;
    const text = frame(rows.map((row) => Buffer.from(rowText(row))));
    try {
      for (let at = 0; at < text.length; ) at += writeSync(this.#fd, text, at);
    } catch (error) {
      ftruncateSync(this.#fd, this.#length);
      throw error;
    }
    this.#length += text.length;
    this.#isDirty = true;
    for (const row of rows) this.#keep(row, nowMs);
  }

  /** Has the disk write what a power cut would take along, behind whatever goes on. */
  flush(): void {
    if (!this.#isDirty) return;
    this.#isDirty = false;
    fdatasync(this.#fd, () => undefined);
  }

  close(): void {
    closeSync(this.#fd);
  }

  remove(): void {
    this.close();
    unlinkSync(this.path);
  }

  #keep(row: Row, nowMs: number): void {
    const { teamId, timeMs, body } = row;
    this.beganAtMs ??= nowMs;
    const key = keyText(row);
    const entries = this.rows.get(key) ?? [];
    if (entries.length === 0) this.rows.set(key, entries);
    entries.splice(behind(entries, timeMs), 0, { timeMs, body });
    const size = ROW_BYTES + body.length;
    this.#bytes += size;
    this.teamBytes.set(teamId, (this.teamBytes.get(teamId) ?? 0) + size);
  }
}
