/** Keeps lines as long as they are not too many; the rest is left out. */
export function keepText(maxCharacters: number): { add: (line: string) => void; readonly text: string } {
  const lines: string[] = [];
  let characters = 0;
  return {
    add(line) {
      characters += line.length + 1;
      if (characters <= maxCharacters) lines.push(line);
    },
    get text() {
      return lines.join('\n');
    },
  };
}
