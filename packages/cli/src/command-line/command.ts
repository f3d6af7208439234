import type { Environment, OptionSources } from '../options/spec.ts';
import type { Flags, FlagValues } from './flags.ts';
import type { Signature, Words, WordValues } from './signature.ts';
import { readWords } from './words.ts';

/** What a command was given. */
export interface Given<F extends Flags, W extends Words> {
  words: WordValues<W>;
  flags: FlagValues<F>;
  /** Where its options are read from. */
  sources: OptionSources;
}

export interface CommandSpec<F extends Flags, W extends Words> extends Partial<Signature<F, W>> {
  /** One line for the help. */
  summary: string;
  run: (given: Given<F, W>) => Promise<void>;
  /** Prints why it failed, in the form that the flags ask for. Without it, that goes to stderr. */
  printFailure?: (error: unknown, flags: Partial<FlagValues<F>>) => void;
}

/** A command that does something. */
export interface Command {
  summary: string;
  signature: Signature;
  /** @throws what went wrong, unless the command prints that itself */
  run: (words: readonly string[]) => Promise<void>;
}

/** A command that stands for others. */
export interface CommandGroup {
  summary: string;
  /** By name. A function loads the command if it is asked for. */
  commands: Readonly<Record<string, AnyCommand | (() => Promise<AnyCommand>)>>;
  /** What it does if none of them is named. */
  itself?: Command;
}

export type AnyCommand = Command | CommandGroup;

/** What commands need of the process to be run. */
export interface CommandProcess {
  env: Environment;
  setExitCode(code: number): void;
}

/** A command whose words and flags are read as it declares them. */
export function defineCommand<
  const F extends Flags = Record<never, never>,
  const W extends Words = Record<never, never>,
>(io: CommandProcess, spec: CommandSpec<F, W>): Command {
  const { summary, words = {} as W, flags = {} as F, options = [] } = spec;
  const signature = { words, flags, options };
  return {
    summary,
    signature,
    async run(rest) {
      const read = readWords(signature, rest);
      try {
        if (read.problem) throw read.problem;
        await spec.run({ ...read, sources: { flags: read.options, env: io.env } });
      } catch (error) {
        if (!spec.printFailure) throw error;
        spec.printFailure(error, read.flags);
        io.setExitCode(1);
      }
    },
  };
}
