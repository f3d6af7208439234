export interface JsonSize {
  /** Members of objects and elements of arrays, nested ones too; an array or object counts for itself. */
  values: number;
  /** Arrays and objects within one another. */
  depth: number;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * Counts what a parser of this JSON would have to make, without making it: some 2 ms a MiB, whatever it holds. Of
 * text that is no JSON the count means nothing, and the parser refuses that anyway.
 */
export function measureJson(text: Uint8Array): JsonSize {
  let values = 0;
  let open = 0;
  let depth = 0;
  let inText = false;
  for (let at = 0; at < text.length; at++) {
    const byte = text[at];
    if (inText) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) inText = false;
      continue;
    }
    switch (byte) {
      case QUOTE:
        inText = true;
        break;
      case COMMA:
        values++;
        break;
      case OPEN_ARRAY:
      case OPEN_OBJECT:
        values++;
        open++;
        if (open > depth) depth = open;
        break;
      case CLOSE_ARRAY:
      case CLOSE_OBJECT:
        open--;
    }
  }
  return { values, depth };
}
