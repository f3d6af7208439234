import type { ArgsDef } from 'citty';
import { OPTIONS, type OptionName } from './options.ts';
import { OptionError, type OptionSpec } from './spec.ts';

/** citty's definition of options, for parsing and for the help. Defaults are left to readOption, which knows the environment. */
export function optionArgs(names: readonly OptionName[]): ArgsDef {
  const args: ArgsDef = {};
  for (const name of names) {
    const spec: OptionSpec<unknown> = OPTIONS[name];
    const fallback = spec.fallback ? ` (default ${spec.fallback})` : '';
    const description = `${spec.description}${fallback} [${spec.env}]`;
    args[spec.flag] =
      spec.kind === 'switch'
        ? { type: 'boolean', description, negativeDescription: 'Turn that off' }
        : { type: 'string', valueHint: spec.hint, description };
  }
  return args;
}

/** The flags of a command that takes options and no other words: switches and lists as they stand in the raw arguments. */
export function optionFlags(
  names: readonly OptionName[],
  { args, rawArgs }: { args: Readonly<Record<string, unknown>>; rawArgs: readonly string[] },
): Record<string, unknown> {
  const flags: Record<string, unknown> = { ...args };
  for (const name of names) {
    const { flag, kind }: OptionSpec<unknown> = OPTIONS[name];
    if (kind === undefined) continue;
    const values = valuesOf(flag, rawArgs);
    flags[flag] = kind === 'list' && values.length > 0 ? values.join(',') : values.at(-1);
  }
  return flags;
}

/** Every value given for a flag, in order; a switch without one is `on`, and `off` behind `--no-`. */
function valuesOf(flag: string, rawArgs: readonly string[]): string[] {
  const values: string[] = [];
  for (const [i, word] of rawArgs.entries()) {
    const next = rawArgs[i + 1];
    if (word === '--') break;
    if (word === `--no-${flag}`) values.push('off');
    else if (word === `--${flag}`) values.push(next === undefined || next.startsWith('-') ? 'on' : next);
    else if (word.startsWith(`--${flag}=`)) values.push(word.slice(flag.length + 3));
  }
  return values;
}

/**
 * Refuses what a command does not know: a misspelt option that is passed over in silence starts something else than was
 * asked for.
 * @throws OptionError naming the nearest option, if one is near.
 */
export function refuseUnknownFlags(rawArgs: readonly string[], args: ArgsDef): void {
  const known = Object.entries(args).filter(([, arg]) => arg.type !== 'positional');
  const negations = known.filter(([, arg]) => arg.type === 'boolean' && arg.negativeDescription);
  const names = new Set([
    ...known.map(([name]) => name),
    ...negations.map(([name]) => `no-${name}`),
    'help',
    'h',
  ]);
  for (let i = 0; i < rawArgs.length; i++) {
    const word = rawArgs[i] ?? '';
    if (word === '--') return;
    if (!word.startsWith('-') || word === '-') continue;
    const [name = '', inline] = word.replace(/^--?/, '').split('=', 2);
    if (!names.has(name)) throw new OptionError(unknownFlag(word, [...names]));
    const takesValue = known.some(([other, arg]) => other === name && arg.type === 'string');
    if (!takesValue || inline !== undefined) continue;
    const value = rawArgs[++i];
    if (value === undefined || value.startsWith('--')) throw new OptionError(`--${name} needs a value`);
  }
}

function unknownFlag(word: string, names: string[]): string {
  const name = word.replace(/^--?/, '').split('=')[0] ?? '';
  const near = names.find((other) => other.length > 1 && editDistance(other, name) <= 2);
  return `there is no option ${word}${near ? `; did you mean --${near}?` : ' (see --help)'}`;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
