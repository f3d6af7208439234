import { OPTIONS, type OptionName } from '../options/options.ts';
import type { OptionSpec } from '../options/spec.ts';

/** `--name <hint>`; the last one counts. */
export interface TextFlag {
  kind: 'text';
  /** What stands for the value in the help. */
  hint: string;
  description: string;
  isRequired?: boolean;
  /** Taken if the flag is not given. */
  fallback?: string;
}

/** `--name <hint>`, several times, or once with commas. */
export interface ListFlag {
  kind: 'list';
  hint: string;
  description: string;
}

/** `--name` and `--no-name`. */
export interface SwitchFlag {
  kind: 'switch';
  /** Of `--no-name` if it is on by itself. */
  description: string;
  /** On unless `--no-name` is given. */
  isOn?: boolean;
  /** The help shows both forms: the environment may say otherwise than the command. */
  hasVariable?: boolean;
}

export type Flag = TextFlag | ListFlag | SwitchFlag;

/** By name, without the dashes. */
export type Flags = Readonly<Record<string, Flag>>;

/** What flags are when they have been read. */
export type FlagValues<F extends Flags> = { readonly [Name in keyof F]: FlagValue<F[Name]> };

type FlagValue<F> = F extends { kind: 'switch' }
  ? boolean
  : F extends { kind: 'list' }
    ? string[]
    : F extends { isRequired: true } | { fallback: string }
      ? string
      : string | undefined;

export const JSON_FLAG = { kind: 'switch', description: 'Print JSON' } as const satisfies SwitchFlag;

export const JSON_LINES_FLAG = {
  kind: 'switch',
  description: 'Print one JSON object a line',
} as const satisfies SwitchFlag;

/** The launcher acts on it before the command runs. */
export const INSTALL_FLAG = {
  kind: 'switch',
  isOn: true,
  description: 'Only report missing system packages',
} as const satisfies SwitchFlag;

/** The flags that stand for options. Their defaults are left to readOption, which knows the environment. */
export function optionFlags(names: readonly OptionName[]): Flags {
  return Object.fromEntries(
    names.map((name): [string, Flag] => {
      const { description, env, fallback, flag, hint, kind }: OptionSpec<unknown> = OPTIONS[name];
      const shown = `${description}${fallback ? ` (default ${fallback})` : ''} [${env}]`;
      return kind === 'switch'
        ? [flag, { kind, description: shown, hasVariable: true }]
        : [flag, { kind: kind ?? 'text', hint, description: shown }];
    }),
  );
}
