import { OPTIONS } from '../options/options.ts';
import { parseSwitch } from '../options/parse.ts';
import { OptionError, type OptionSpec, type OptionTexts, parseText } from '../options/spec.ts';
import type { Flag, Flags, FlagValues } from './flags.ts';
import { flagsOf, type Signature, type Words, type WordValues } from './signature.ts';
import { sortTokens } from './tokens.ts';

export interface ReadWords<F extends Flags, W extends Words> {
  words: WordValues<W>;
  flags: FlagValues<F>;
  /** What was given for the options that commands share. */
  options: OptionTexts;
  /** Why the command must not run. What could be read is there all the same, such as in which form to print this. */
  problem: OptionError | undefined;
}

/** Reads what a command was given. What the command does not know is a problem: to ignore it would do something else than asked. */
export function readWords<F extends Flags, W extends Words>(
  signature: Signature<F, W>,
  given: readonly string[],
): ReadWords<F, W> {
  const names = Object.keys(signature.words);
  const sorted = sortTokens(flagsOf(signature), names.length > 0, given);
  const problems = sorted.problems.map((problem) => new OptionError(problem));
  const textsOf = (flag: string) => sorted.texts.get(flag) ?? [];

  const missing = Object.entries(signature.words).find(
    ([, word], index) => index >= sorted.words.length && typeof word === 'string',
  )?.[0];
  if (missing) problems.push(new OptionError(`${missing.toUpperCase()} is needed (see --help)`));
  const surplus = sorted.words[names.length];
  if (surplus !== undefined) problems.push(new OptionError(`"${surplus}" is a word too many (see --help)`));

  const flags: Record<string, ReturnType<typeof readFlag>> = {};
  for (const [name, flag] of Object.entries(signature.flags)) {
    try {
      flags[name] = readFlag(name, flag, textsOf(name));
    } catch (error) {
      if (!(error instanceof OptionError)) throw error;
      problems.push(error);
    }
  }
  const options = signature.options.map((name): [string, string | undefined] => {
    const { flag, kind }: OptionSpec<unknown> = OPTIONS[name];
    const texts = textsOf(flag);
    return [flag, kind === 'list' && texts.length > 0 ? texts.join(',') : texts.at(-1)];
  });
  return {
    words: Object.fromEntries(names.map((name, i) => [name, sorted.words[i]])) as ReadWords<F, W>['words'],
    flags: flags as FlagValues<F>,
    options: Object.fromEntries(options),
    problem: problems[0],
  };
}

/** @throws OptionError if the flag is needed and not given, or if a switch is neither on nor off. */
function readFlag(
  name: string,
  flag: Flag,
  texts: readonly string[],
): string | boolean | string[] | undefined {
  const last = texts.at(-1);
  switch (flag.kind) {
    case 'list':
      return texts.flatMap((text) => text.split(',')).map((text) => text.trim());
    case 'switch':
      return last === undefined ? (flag.isOn ?? false) : parseText({ parse: parseSwitch }, last, `--${name}`);
    case 'text':
      if (last === undefined && flag.isRequired) throw new OptionError(`--${name} is needed (see --help)`);
      return last ?? flag.fallback;
  }
}
