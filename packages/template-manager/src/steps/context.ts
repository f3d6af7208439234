/** What steps leave for the steps after them, beside files. */
export interface BuildContext {
  env: Readonly<Record<string, string>>;
  /** Who commands run as. */
  user: string;
  /** Absolute; absent: the home of whoever runs. */
  workdir: string | undefined;
}

export const STANDARD_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What a root login shell has before a template sets anything. */
const LOGIN_ENV: Readonly<Record<string, string>> = {
  PATH: STANDARD_PATH,
  HOME: '/root',
  USER: 'root',
  LOGNAME: 'root',
  SHELL: '/bin/bash',
};

/**
 * The context after an ENV step. `$NAME` and `${NAME}` are replaced once, by what earlier steps set or a root login shell has;
 * everything else in a value is taken as it is.
 */
export function withVariables(
  context: BuildContext,
  variables: readonly (readonly [name: string, value: string])[],
): BuildContext {
  const env = { ...context.env };
  const known = { ...LOGIN_ENV, ...context.env };
  for (const [name, value] of variables) env[name] = interpolate(value, known);
  return { ...context, env };
}

function interpolate(value: string, known: Readonly<Record<string, string>>): string {
  return value.replace(/\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})/g, (_, plain?: string, braced?: string) => {
    const name = plain ?? braced ?? '';
    return Object.hasOwn(known, name) ? (known[name] ?? '') : '';
  });
}

/** The environment of a build's command: a PATH that a template sets keeps the standard directories, behind its own. */
export function commandEnv(context: BuildContext): Record<string, string> {
  const { PATH } = context.env;
  if (PATH === undefined) return { ...context.env };
  const dirs = PATH.split(':');
  const added = STANDARD_PATH.split(':').filter((dir) => !dirs.includes(dir));
  return { ...context.env, PATH: [PATH, ...added].filter((part) => part !== '').join(':') };
}
