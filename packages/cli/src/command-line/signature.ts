import type { OptionName } from '../options/options.ts';
import { type Flags, optionFlags } from './flags.ts';

/** Words of a command that are no flags, in their order: what each is, by its name. All of them are needed. */
export type Words = Readonly<Record<string, string>>;

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
