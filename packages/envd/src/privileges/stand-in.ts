import { parseArgs } from 'node:util';
import type { Account } from '../accounts/account.ts';
import { DEFAULT_PATH } from '../process/executable.ts';
import type { SudoAnswer, SudoRequest } from './protocol.ts';

/** What to start in sudo's place, or what to say instead. */
export type SudoPlan =
  | { run: { command: string; args: string[]; env: Record<string, string>; cwd: string; account: Account } }
  | { answer: SudoAnswer };

export interface StandInContext {
  caller: Account;
  findAccount: (name: string) => Account | undefined;
  userName: (uid: number) => string;
}

/** The only shell that every template has. */
const SHELL = '/bin/bash';

/** What of the caller's environment stays, as with sudo's own `env_reset`. */
const KEPT =
  /^(COLORS|COLORTERM|DISPLAY|HOSTNAME|LANG|LANGUAGE|LC_[A-Z]+|LS_COLORS|PS1|PS2|TERM|TZ|XAUTHORITY)$/;

const USAGE = 'usage: sudo [-EHiknSsv] [-u user] [-D directory] [VAR=value] [command [argument …]]';

/** Those that nothing is done for have no meaning if nobody is asked for a password. */
const OPTIONS = {
  user: { type: 'string', short: 'u' },
  chdir: { type: 'string', short: 'D' },
  prompt: { type: 'string', short: 'p' },
  'preserve-env': { type: 'boolean', short: 'E' },
  'set-home': { type: 'boolean', short: 'H' },
  login: { type: 'boolean', short: 'i' },
  shell: { type: 'boolean', short: 's' },
  'non-interactive': { type: 'boolean', short: 'n' },
  stdin: { type: 'boolean', short: 'S' },
  validate: { type: 'boolean', short: 'v' },
  'reset-timestamp': { type: 'boolean', short: 'k' },
  'remove-timestamp': { type: 'boolean', short: 'K' },
  list: { type: 'boolean', short: 'l' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'V' },
} as const;

type Option = keyof typeof OPTIONS;

interface Parsed {
  /** With their values, empty for flags. */
  options: Map<Option, string>;
  assignments: [name: string, value: string][];
  /** The command and its arguments. */
  words: string[];
}

/**
 * Does what sudo does, if a template has none, for somebody who may become root: the options that scripts use, and sudo's
 * environment. What it does not know it refuses, and says so.
 */
export function planSudo(request: SudoRequest, context: StandInContext): SudoPlan {
  const parsed = parse(request.args);
  if (typeof parsed === 'string') return answer(1, `sudo: ${parsed}`);
  const { options, words } = parsed;
  if (options.has('help')) return answer(0, USAGE);
  if (options.has('version')) return answer(0, 'sudo of the sandbox daemon');
  if (options.has('list')) {
    return answer(0, `User ${context.caller.name} may run the following commands:\n    (ALL) NOPASSWD: ALL`);
  }
  const shell = options.has('login') || options.has('shell');
  if (words.length === 0 && !shell) {
    const nothingToDo = (['validate', 'reset-timestamp', 'remove-timestamp'] as const).some((option) =>
      options.has(option),
    );
    return nothingToDo ? answer(0) : answer(1, USAGE);
  }
  const user = options.get('user') ?? 'root';
  const account = targetOf(user, context);
  if (!account) return answer(1, `sudo: unknown user ${user}`);
  const [command = '', ...args] = shell ? throughShell(words, options.has('login')) : words;
  const env = {
    ...environment(request.env, options.get('preserve-env'), account),
    SUDO_USER: context.caller.name,
    SUDO_UID: String(context.caller.uid),
    SUDO_GID: String(context.caller.gid),
    SUDO_COMMAND: [command, ...args].join(' '),
    ...Object.fromEntries(parsed.assignments),
  };
  const cwd = options.get('chdir') ?? (options.has('login') ? account.home : request.cwd);
  return { run: { command, args, env, cwd, account } };
}

const answer = (exitCode: number, message?: string): SudoPlan => ({ answer: { exitCode, message } });

/** @returns what is wrong if the arguments cannot be followed. */
function parse(args: readonly string[]): Parsed | string {
  const { tokens } = parseArgs({
    args: [...args],
    options: OPTIONS,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const options = new Map<Option, string>();
  let words: string[] = [];
  for (const token of tokens) {
    if (token.kind !== 'option') {
      // What follows is the command's own.
      words = args.slice(token.kind === 'positional' ? token.index : token.index + 1);
      break;
    }
    if (!(token.name in OPTIONS)) {
      return `${token.rawName} is not known to the sandbox's own sudo; install sudo in the template for it`;
    }
    const option = token.name as Option;
    if (OPTIONS[option].type === 'string' && token.value === undefined)
      return `${token.rawName} needs a value`;
    options.set(option, token.value ?? '');
  }
  const assignments: Parsed['assignments'] = [];
  for (let match = assignment(words[0]); match; match = assignment(words[0])) {
    assignments.push(match);
    words.shift();
  }
  return { options, assignments, words };
}

function assignment(word: string | undefined): [string, string] | undefined {
  const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(word ?? '') ?? [];
  return name === undefined || value === undefined ? undefined : [name, value];
}

/** `#1000` names a user by number, whether it has a name or not. */
function targetOf(user: string, { findAccount, userName }: StandInContext): Account | undefined {
  const id = /^#(\d{1,9})$/.exec(user)?.[1];
  if (id === undefined) return findAccount(user);
  const uid = Number(id);
  return findAccount(userName(uid)) ?? { name: id, uid, gid: uid, home: '/', groups: [uid] };
}

/** @param words handed to the shell as one line, in which only `$` keeps its meaning, as with sudo. */
function throughShell(words: readonly string[], login: boolean): string[] {
  const line = words.map((word) => word.replaceAll(/[^\w$-]/gu, '\\$&')).join(' ');
  return [SHELL, ...(login ? ['-l'] : []), ...(words.length > 0 ? ['-c', line] : [])];
}

/** @param preserve what of the caller's stays: undefined for what is harmless, empty for all, or a list of names besides. */
function environment(
  callers: Record<string, string>,
  preserve: string | undefined,
  { name, home }: Account,
): Record<string, string> {
  const listed = preserve?.split(',') ?? [];
  const stays = (variable: string) => preserve === '' || KEPT.test(variable) || listed.includes(variable);
  const kept = Object.fromEntries(Object.entries(callers).filter(([variable]) => stays(variable)));
  return { HOME: home, ...kept, PATH: DEFAULT_PATH, USER: name, LOGNAME: name, SHELL };
}
