/** Longest line, characters: a progress bar without a line break must not gather in memory. */
const LONGEST_LINE = 16_384;
/** Most lines of one output; more are counted only, which costs next to nothing. */
const MOST_LINES = 20_000;
const LINE_FEED = 0x0a;

export interface OutputLines {
  push(bytes: Uint8Array): void;
  /** Gives out the last line if no break ends it, and how many were left out. */
  end(): void;
}

/**
 * Cuts what a program writes into lines, in time that is linear in what it writes. Of a line that was written over with carriage
 * returns, the last is kept; a line that is too long becomes several.
 */
export function outputLines(onLine: (line: string) => void): OutputLines {
  const decoder = new TextDecoder();
  let rest = '';
  let lines = 0;
  let leftOut = 0;
  const emit = (line: string) => {
    lines++;
    onLine(lastWritten(line));
  };
  const take = (text: string, isWhole: boolean) => {
    rest += text;
    for (; rest.length > LONGEST_LINE && lines < MOST_LINES; rest = rest.slice(LONGEST_LINE)) {
      emit(rest.slice(0, LONGEST_LINE));
    }
    if (lines >= MOST_LINES) rest = '';
    if (!isWhole) return;
    if (lines < MOST_LINES) emit(rest);
    else leftOut++;
    rest = '';
  };
  return {
    push(bytes) {
      if (lines >= MOST_LINES) {
        for (let at = 0; at < bytes.length; at++) if (bytes[at] === LINE_FEED) leftOut++;
        return;
      }
      const text = decoder.decode(bytes, { stream: true });
      let from = 0;
      for (let to = text.indexOf('\n'); to !== -1; to = text.indexOf('\n', from)) {
        take(text.slice(from, to), true);
        from = to + 1;
      }
      take(text.slice(from), false);
    },
    end() {
      if (lines < MOST_LINES) rest += decoder.decode();
      if (rest !== '' && lines < MOST_LINES) take('', true);
      if (leftOut > 0) onLine(`… and ${leftOut} more lines`);
      rest = '';
      leftOut = 0;
    },
  };
}

/** What stands behind the last carriage return that something was written after. */
function lastWritten(line: string): string {
  let end = line.length;
  while (end > 0 && line[end - 1] === '\r') end--;
  return end === 0 ? '' : line.slice(line.lastIndexOf('\r', end - 1) + 1, end);
}
