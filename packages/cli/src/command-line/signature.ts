import type { OptionName } from '../options/options.ts';
import { type Flags, optionFlags } from './flags.ts';

/** A word that may be left out, with all behind it. */
export interface OptionalWord {
  meaning: string;
  isOptional: true;
}

/** Words of a command that are no flags, in their order: what each is, by its name. A plain text's is needed. */
export type Words = Readonly<Record<string, string | OptionalWord>>;

/** What the words of a command are when they have been read. */
export type WordValues<W extends Words> = {
  readonly [Name in keyof W]: W[Name] extends OptionalWord ? string | undefined : string;
};

/** What a command takes. */
export interface Signature<F extends Flags = Flags, W extends Words = Words> {
  words: W;
  /** Its own flags. */
  flags: F;
  /** Those of the options that commands share. */
  options: readonly OptionName[];
}

/** All flags that a command knows. */
export function flagsOf({ flags, options }: Signature): Flags {
  return { ...flags, ...optionFlags(options) };
}
