/** A progress bar without a line break must not gather in memory. */
const LONGEST_LINE = 16_384;

/**
 * Cuts what a program writes into lines. Of a line that was written over with carriage returns, the last is kept.
 * @returns what takes bytes, and what gives out the last line where no break ends it.
 */
export function outputLines(onLine: (line: string) => void): { push(bytes: Uint8Array): void; end(): void } {
  const decoder = new TextDecoder();
  let rest = '';
  const emit = (line: string) => {
    const text = line.replace(/\r+$/, '');
    onLine(text.slice(text.lastIndexOf('\r') + 1));
  };
  return {
    push(bytes) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) emit(line);
      while (rest.length > LONGEST_LINE) {
        emit(rest.slice(0, LONGEST_LINE));
        rest = rest.slice(LONGEST_LINE);
      }
    },
    end() {
      rest += decoder.decode();
      if (rest !== '') emit(rest);
      rest = '';
    },
  };
}
