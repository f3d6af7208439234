/** What steps leave for the steps after them, beside files. */
export interface BuildContext {
  env: Readonly<Record<string, string>>;
  /** Who commands run as. */
  user: string;
  /** Absolute; absent: the home of whoever runs. */
  workdir: string | undefined;
}

export const STANDARD_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const VARIABLE = /\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})/g;

/** What a root login shell has before a template sets anything. */
const LOGIN_ENV: Readonly<Record<string, string>> = {
  PATH: STANDARD_PATH,
  HOME: '/root',
  USER: 'root',
  LOGNAME: 'root',
  SHELL: '/bin/bash',
};

/**
 * Longest variable, its name included, in characters: Linux passes a program no longer text than 128 KiB. A value may repeat others, so that each
 * step could be twice as long as the one before.
 */
const MAX_VARIABLE = 128 * 1024 - 2;
/** All variables together, in characters: half of what Linux passes to a program. */
const MAX_VARIABLES = 1024 * 1024;

/** Variables are too long for any program to be started with them. */
export class VariablesTooLongError extends Error {
  override readonly name = 'VariablesTooLongError';
}

/**
 * The context after an ENV step. `$NAME` and `${NAME}` are replaced once, by what earlier steps set or a root login shell has;
 * everything else in a value is taken as it is.
 * @throws VariablesTooLongError
 */
export function withVariables(
  context: BuildContext,
  variables: readonly (readonly [name: string, value: string])[],
): BuildContext {
  const env = { ...context.env };
  const known = { ...LOGIN_ENV, ...context.env };
  let rest = MAX_VARIABLES - lengthOf(env);
  for (const [name, value] of variables) {
    const most = Math.min(rest, MAX_VARIABLE) - name.length;
    const text = interpolate(value, known, most);
    if (text === undefined) throw new VariablesTooLongError(tooLong(name, rest < MAX_VARIABLE));
    env[name] = text;
    rest -= name.length + text.length;
  }
  return { ...context, env };
}

function lengthOf(env: Readonly<Record<string, string>>): number {
  return Object.entries(env).reduce((sum, [name, value]) => sum + name.length + value.length, 0);
}

function tooLong(name: string, isSum: boolean): string {
  const shown = name.slice(0, 64);
  return isSum
    ? `variable '${shown}' does not fit: all variables together may have ${MAX_VARIABLES} characters`
    : `variable '${shown}' is too long: a variable may have ${MAX_VARIABLE} characters with its name`;
}

/** Undefined if it would have more than `most` characters, which is found out before they are made. */
function interpolate(
  value: string,
  known: Readonly<Record<string, string>>,
  most: number,
): string | undefined {
  let length = value.length;
  const text = value.replace(VARIABLE, (written, plain?: string, braced?: string) => {
    const name = plain ?? braced ?? '';
    const meant = Object.hasOwn(known, name) ? (known[name] ?? '') : '';
    length += meant.length - written.length;
    return length > most ? '' : meant;
  });
  return length > most ? undefined : text;
}

/** The environment of a build's command: a PATH that a template sets keeps the standard directories, behind its own. */
export function commandEnv(context: BuildContext): Record<string, string> {
  const { PATH } = context.env;
  if (PATH === undefined) return { ...context.env };
  const dirs = PATH.split(':');
  const added = STANDARD_PATH.split(':').filter((dir) => !dirs.includes(dir));
  return { ...context.env, PATH: [PATH, ...added].filter((part) => part !== '').join(':') };
}
