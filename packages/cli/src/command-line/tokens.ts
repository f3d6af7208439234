import { parseArgs } from 'node:util';
import type { Flags } from './flags.ts';
import { nearest } from './nearest.ts';

/** A command line, sorted. */
export interface Sorted {
  /** Every text given for a flag, in order, by the flag's name. A switch without one is `on`, and `off` behind `--no-`. */
  texts: ReadonlyMap<string, readonly string[]>;
  /** Words that belong to no flag. */
  words: string[];
  /** What is wrong with it, in the order in which it stands there. */
  problems: string[];
}

/** Which flag something on a command line stands for. */
interface Spelling {
  name: string;
  /** What it says without a value; undefined: it needs one. */
  alone?: 'on' | 'off';
}

type Token = NonNullable<ReturnType<typeof parseArgs>['tokens']>[number];
type FlagToken = Extract<Token, { kind: 'option' }>;

/** Sorts a command line. A switch may be followed by `on` or `off` if the command takes no words (`takesWords`). */
export function sortTokens(flags: Flags, takesWords: boolean, given: readonly string[]): Sorted {
  const spellings = spellingsOf(flags);
  const texts = new Map<string, string[]>();
  const words: string[] = [];
  const problems: string[] = [];
  const add = (name: string, text: string) => texts.set(name, [...(texts.get(name) ?? []), text]);
  /** The flag whose value the next word may be. */
  let open: string | undefined;
  for (const token of tokensOf(spellings, given)) {
    const before = open;
    open = undefined;
    if (token.kind === 'positional') {
      if (before === undefined) words.push(token.value);
      else add(before, token.value);
    } else if (token.kind === 'option') {
      // As it was written: several letters behind one dash are a token each.
      const [written = ''] = (given[token.index] ?? '').split('=', 1);
      const spelling = spellings.get(written);
      const problem = spelling ? misuse(spelling, token) : unknown(written, [...spellings.keys()]);
      if (problem) problems.push(problem);
      else if (spelling) {
        add(spelling.name, token.value ?? spelling.alone ?? '');
        if (spelling.alone === 'on' && token.value === undefined && !takesWords) open = spelling.name;
      }
    }
  }
  return { texts, words, problems };
}

/** With their dashes. */
function spellingsOf(flags: Flags): ReadonlyMap<string, Spelling> {
  const spellings = Object.entries(flags).flatMap(([name, { kind }]): [string, Spelling][] =>
    kind === 'switch'
      ? [
          [`--${name}`, { name, alone: 'on' }],
          [`--no-${name}`, { name, alone: 'off' }],
        ]
      : [[`--${name}`, { name }]],
  );
  return new Map(spellings);
}

/** Not strict: that refuses a value such as -1 before its option can, and names no option that is near. */
function tokensOf(spellings: ReadonlyMap<string, Spelling>, given: readonly string[]): Token[] {
  const options = Object.fromEntries(
    [...spellings].map(([written, { alone }]) => [
      written.slice('--'.length),
      { type: alone === undefined ? ('string' as const) : ('boolean' as const) },
    ]),
  );
  return parseArgs({ args: [...given], options, strict: false, allowPositionals: true, tokens: true }).tokens;
}

function misuse({ alone }: Spelling, { inlineValue, rawName, value }: FlagToken): string | undefined {
  if (alone === 'off' && value !== undefined) return `${rawName} takes no value`;
  if (alone !== undefined) return undefined;
  // What looks like the next flag is no value.
  const hasValue = value !== undefined && (inlineValue || !value.startsWith('--'));
  return hasValue ? undefined : `${rawName} needs a value`;
}

function unknown(written: string, known: string[]): string {
  const near = nearest([...known, '--help'], written.replace(/^--?/, '--'));
  return `there is no option ${written}${near ? `; did you mean ${near}?` : ' (see --help)'}`;
}
