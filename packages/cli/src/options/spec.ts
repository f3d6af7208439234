/** A value that a user gave is wrong; the message names the option or variable it came from. */
export class OptionError extends Error {
  override readonly name = 'OptionError';
}

/** One option: a flag, the environment variable that stands for it, and what its text means. */
export interface OptionSpec<T> {
  /** Without the dashes. */
  flag: string;
  env: string;
  /** What stands for the value in the help. */
  hint: string;
  description: string;
  /** Text taken if the user says nothing; undefined makes the value undefined. */
  fallback?: string | undefined;
  /** `switch`: on or off, `--no-<flag>` too. `list`: may be given several times, or once with commas. Else one text. */
  kind?: 'switch' | 'list';
  /** The value may hold a password: messages do not repeat it. */
  secret?: boolean;
  /** Turns the text into the value. @throws RangeError with what it must be, as the end of a sentence. */
  parse: (text: string) => T;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The texts given for options, by flag. */
export type OptionTexts = Readonly<Record<string, string | undefined>>;

/** Where options come from: flags win over the environment. */
export interface OptionSources {
  flags: OptionTexts;
  env: Environment;
}

/** The option's value, or undefined if neither the user nor a default gives one. @throws OptionError. */
export function readOption<T>(spec: OptionSpec<T>, sources: OptionSources): T | undefined {
  const flag = sources.flags[spec.flag];
  if (flag !== undefined) return parseText(spec, flag, `--${spec.flag}`);
  const variable = sources.env[spec.env];
  if (variable !== undefined && variable !== '') return parseText(spec, variable, spec.env);
  return spec.fallback === undefined ? undefined : parseText(spec, spec.fallback, `--${spec.flag}`);
}

/** As readOption, for options that have a default. */
export function requireOption<T>(spec: OptionSpec<T>, sources: OptionSources): T {
  const value = readOption(spec, sources);
  if (value === undefined) throw new OptionError(`--${spec.flag} (or ${spec.env}) is needed`);
  return value;
}

/** The text as a value; `source` names where it comes from. @throws OptionError if it is none. */
export function parseText<T>(spec: Pick<OptionSpec<T>, 'parse' | 'secret'>, text: string, source: string): T {
  try {
    return spec.parse(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new OptionError(`${source} ${error.message}${spec.secret ? '' : `, not "${text}"`}`, {
      cause: error,
    });
  }
}
