import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { type GvisorRelease, TESTED_RELEASES } from './release.ts';

/** runsc keeps its own state in a form that Islet does not know. */
export class RunscFormatError extends Error {
  override readonly name = 'RunscFormatError';
}

/** Of a state file: some 10 KiB, most of it the sandbox's OCI specification. */
const MAX_STATE_BYTES = 1024 * 1024;
/** The last words of a command: what a sentry that was taken over answers may be in them, and be long. */
const MAX_LOG_BYTES = 64 * 1024;
const MAX_MESSAGE = 500;

/**
 * The ids of a sandbox's processes, the sentry's first, in the file in which runsc keeps what it knows of it.
 * @throws RunscFormatError
 */
export function processIds(state: string, release: GvisorRelease): number[] {
  const { goferPid, sandbox } = parsed(state, release);
  const { pid } = sandbox ?? {};
  return [pid, goferPid].filter((each) => each !== undefined && each !== 0) as number[];
}

interface RunscState {
  goferPid?: number;
  /** Null of a container whose sandbox is gone. */
  sandbox?: { pid?: number } | null;
}

function parsed(text: string, release: GvisorRelease): RunscState {
  try {
    const value = JSON.parse(text) as RunscState | null;
    if (isState(value)) return value;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new RunscFormatError(
    `runsc ${release.name} keeps the processes of a sandbox in a form that Islet does not know: install runsc of release ${TESTED_RELEASES.join(' or ')} (Debian 13 has it)`,
  );
}

function isState(value: RunscState | null): value is RunscState {
  if (typeof value !== 'object' || value === null || !('sandbox' in value || 'goferPid' in value))
    return false;
  const { goferPid, sandbox } = value;
  if (sandbox !== undefined && typeof sandbox !== 'object') return false;
  return [goferPid, sandbox?.pid].every((pid) => pid === undefined || isPid(pid));
}

function isPid(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31;
}

/** The file of a sandbox's state; undefined if there is none. @throws RunscFormatError if it is too long */
export async function readState(file: string, release: GvisorRelease): Promise<number[] | undefined> {
  const text = await readEnd(file, MAX_STATE_BYTES);
  return text === undefined ? undefined : processIds(text, release);
}

/** A line of a Go stack trace that names a function of gVisor's. */
const CALL = /^gvisor\.dev\/gvisor\/([\w/.()*]+)\(/;
const SHOWN_CALLS = 2;

/** The error that a command of runsc logged last, shortened; undefined if it logged none. */
export async function lastLogged(file: string): Promise<string | undefined> {
  return lastMessage((await readEnd(file, MAX_LOG_BYTES).catch(() => undefined)) ?? '');
}

/** The same of what it logged: lines of JSON. Of a stack trace of its own that may follow, where it panicked is left. */
export function lastMessage(log: string): string | undefined {
  const messages = log.split('\n').flatMap((line) => /"msg":"((?:[^"\\]|\\.)*)"/.exec(line)?.[1] ?? []);
  const [message, ...trace] = messages.at(-1)?.split('\\n') ?? [];
  if (message === undefined) return undefined;
  const from = trace.findIndex((line) => line.startsWith('panic('));
  const calls = from < 0 ? [] : trace.slice(from + 1).flatMap((line) => CALL.exec(line)?.[1] ?? []);
  const where = calls.slice(0, SHOWN_CALLS).map((call) => ` in ${call}`);
  return `${message.slice(0, MAX_MESSAGE)}${where.join('').slice(0, MAX_MESSAGE)}`;
}

/** The last bytes of a file, so many at the most; undefined if there is no file. */
async function readEnd(path: string, most: number): Promise<string | undefined> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { size } = await file.stat();
    const buffer = Buffer.alloc(Math.min(size, most));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, size - buffer.length);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}
