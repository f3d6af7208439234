/** Where envd listens for sudo. */
export const SUDO_SOCKET = '/run/e2b/sudo.sock';

/** What the command in front asks for, as one line of JSON. Its descriptors came before. */
export interface SudoRequest {
  args: string[];
  env: Record<string, string>;
  cwd: string;
}

/** Sent on by the command in front while it waits. */
export interface SudoSignal {
  signal: NodeJS.Signals;
}

/** The only answer. `message` is for its stderr, or for its stdout if all went well. */
export interface SudoAnswer {
  /** Undefined if a signal ended the program. */
  exitCode?: number | undefined;
  signal?: number | undefined;
  message?: string | undefined;
}

/** Signals that a user sends to a running command. */
export const FORWARDED_SIGNALS = [
  'SIGINT',
  'SIGTERM',
  'SIGHUP',
  'SIGQUIT',
  'SIGUSR1',
  'SIGUSR2',
  'SIGWINCH',
] as const;

const MAX_LINE_BYTES = 4 * 1024 * 1024;

/** Calls back with each line of a stream as it was sent. @returns a function to feed with chunks. */
export function jsonLines(onLine: (value: unknown) => void): (chunk: Buffer) => void {
  let rest = '';
  return (chunk) => {
    rest += chunk.toString('utf8');
    if (rest.length > MAX_LINE_BYTES) throw new RangeError('line is too long');
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(JSON.parse(line));
  };
}
