import { chownSync, closeSync, constants, statSync, writeFileSync } from 'node:fs';
import { type ChildStep, SystemError } from '@islet/posix-spawn';
import type { Account } from '../accounts/account.ts';
import type { Credentials } from '../native/credentials.ts';
import type { Descriptors, WindowSize } from '../native/descriptors.ts';
import type { Spawner } from '../native/spawn.ts';
import { execFailure, findExecutable, type PathKind } from './executable.ts';
import type { ProcessLimit } from './process-limit.ts';

/** A program to start, with everything about it decided. */
export interface LaunchRequest {
  command: string;
  args: readonly string[];
  env: Readonly<Record<string, string>>;
  /** Absolute. */
  cwd: string;
  account: Account;
  io: RequestedIo;
}

/** What a program reads and writes. */
export type RequestedIo =
  | { kind: 'terminal'; size: WindowSize }
  /** Without `stdin` the program reads /dev/null. */
  | { kind: 'pipes'; stdin: boolean }
  /** Descriptors of this process for its input, output and error; they stay the caller's to close. */
  | { kind: 'given'; descriptors: readonly [number, number, number] };

/** The descriptors that envd keeps of a started program. */
export type LaunchedIo =
  | { kind: 'terminal'; master: number }
  | { kind: 'pipes'; stdin: number | undefined; stdout: number; stderr: number }
  | { kind: 'none' };

export type LaunchResult =
  | { started: true; pid: number; io: LaunchedIo }
  /** There is no such program, or it cannot be executed: what a shell's `exec` would write and exit with. */
  | { started: false; exitCode: number; stderr: string };

/** A start that can be no process at all. */
export class LaunchError extends Error {
  readonly reason: 'invalid' | 'exhausted';

  constructor(reason: 'invalid' | 'exhausted', message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'LaunchError';
    this.reason = reason;
  }
}

export interface LaunchTools {
  spawner: Spawner;
  descriptors: Descriptors;
  credentials: Credentials;
  /** Absent if nothing limits what is started. */
  limit?: ProcessLimit;
}

/** Group of terminals on every common system. */
const TTY_GID = 5;
/** What the kernel should rather kill than envd when memory runs out. */
const OOM_SCORE_ADJ = '100';

/**
 * Starts a program as the account's user in its own session.
 * @throws LaunchError if the request cannot be carried out: bad working directory, no room for a process.
 */
export function launch(tools: LaunchTools, request: LaunchRequest): LaunchResult {
  rejectNul(request);
  const cwd = statSync(request.cwd, { throwIfNoEntry: false });
  if (!cwd) throw new LaunchError('invalid', `cwd '${request.cwd}' does not exist`);
  if (!cwd.isDirectory()) throw new LaunchError('invalid', `cwd '${request.cwd}' is not a directory`);
  const lookup = findExecutable(request.command, {
    cwd: request.cwd,
    path: request.env.PATH,
    inspect: inspectPath,
  });
  if (!('found' in lookup)) return shellFailure(request.command, lookup.exitCode, lookup.reason);
  switch (request.io.kind) {
    case 'terminal':
      return launchInTerminal(tools, request, lookup.found, request.io.size);
    case 'pipes':
      return launchWithPipes(tools, request, lookup.found, request.io.stdin);
    case 'given':
      return launchWithDescriptors(tools, request, lookup.found, request.io.descriptors);
  }
}

function launchInTerminal(
  tools: LaunchTools,
  request: LaunchRequest,
  path: string,
  size: WindowSize,
): LaunchResult {
  const { master, slavePath } = tools.descriptors.openTerminal(size);
  let kept = false;
  try {
    chownSync(slavePath, request.account.uid, TTY_GID);
    // A session leader that opens a terminal gets it as its controlling one.
    const steps: ChildStep[] = [
      { step: 'chdir', path: request.cwd },
      { step: 'open', fd: 0, path: slavePath, flags: constants.O_RDWR },
      { step: 'dup', from: 0, to: 1 },
      { step: 'dup', from: 0, to: 2 },
    ];
    const outcome = spawn(tools, request, path, steps);
    if (typeof outcome !== 'number') return outcome;
    kept = true;
    return { started: true, pid: outcome, io: { kind: 'terminal', master } };
  } finally {
    if (!kept) closeSync(master);
  }
}

function launchWithPipes(
  tools: LaunchTools,
  request: LaunchRequest,
  path: string,
  withStdin: boolean,
): LaunchResult {
  const childEnds: number[] = [];
  const ownEnds: number[] = [];
  const open = () => tools.descriptors.pipe();
  const pipe = (own: 'read' | 'write') => {
    // A pipe is its maker's: the user's, since opening one again by name (/dev/stdout) asks whose it is.
    const ends = request.account.uid === 0 ? open() : tools.credentials.actAs(request.account, open);
    ownEnds.push(ends[own]);
    childEnds.push(own === 'read' ? ends.write : ends.read);
    return { own: ends[own], child: own === 'read' ? ends.write : ends.read };
  };
  let kept = false;
  try {
    const stdout = pipe('read');
    const stderr = pipe('read');
    const stdin = withStdin ? pipe('write') : undefined;
    const steps: ChildStep[] = [
      { step: 'chdir', path: request.cwd },
      stdin
        ? { step: 'dup', from: stdin.child, to: 0 }
        : { step: 'open', fd: 0, path: '/dev/null', flags: constants.O_RDONLY },
      { step: 'dup', from: stdout.child, to: 1 },
      { step: 'dup', from: stderr.child, to: 2 },
    ];
    const outcome = spawn(tools, request, path, steps);
    if (typeof outcome !== 'number') return outcome;
    kept = true;
    return {
      started: true,
      pid: outcome,
      io: { kind: 'pipes', stdin: stdin?.own, stdout: stdout.own, stderr: stderr.own },
    };
  } finally {
    for (const fd of childEnds) closeSync(fd);
    if (!kept) for (const fd of ownEnds) closeSync(fd);
  }
}

function launchWithDescriptors(
  tools: LaunchTools,
  request: LaunchRequest,
  path: string,
  descriptors: readonly [number, number, number],
): LaunchResult {
  const steps: ChildStep[] = [
    { step: 'chdir', path: request.cwd },
    ...descriptors.map((from, to) => ({ step: 'dup' as const, from, to })),
  ];
  const outcome = spawn(tools, request, path, steps);
  return typeof outcome === 'number' ? { started: true, pid: outcome, io: { kind: 'none' } } : outcome;
}

/** @returns the pid, or what a shell would have said. */
function spawn(
  tools: LaunchTools,
  request: LaunchRequest,
  path: string,
  steps: readonly ChildStep[],
): number | LaunchResult {
  const plan = {
    file: path,
    argv: [request.command, ...request.args],
    env: request.env,
    steps,
    account: request.account,
  };
  try {
    const start = () => tools.spawner.spawn(plan);
    const pid = tools.limit ? tools.limit.within(start) : start();
    preferToEnvd(pid);
    return pid;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return afterFailedSpawn(tools, request, path, steps, error);
  }
}

function afterFailedSpawn(
  tools: LaunchTools,
  request: LaunchRequest,
  path: string,
  steps: readonly ChildStep[],
  error: SystemError,
): number | LaunchResult {
  if (error.code === 'EAGAIN' || error.code === 'ENOMEM') {
    throw new LaunchError('exhausted', `cannot start a process: ${error.code}, no room for another`, error);
  }
  // posix_spawn tells the errno but not the step: the working directory and the program can both be forbidden.
  if (error.code === 'EACCES' && !canEnter(tools, request)) {
    throw new LaunchError('invalid', `cwd '${request.cwd}' cannot be entered: permission denied`, error);
  }
  if (error.code === 'ENOEXEC' && inspectPath('/bin/sh') === 'program' && path !== '/bin/sh') {
    // A script without a first line that names its interpreter: a shell runs it itself.
    const args = [path, ...request.args];
    return spawn(tools, { ...request, command: '/bin/sh', args }, '/bin/sh', steps);
  }
  const failure = execFailure(error.code);
  if (!failure) throw new LaunchError('invalid', `cannot start '${request.command}': ${error.code}`, error);
  return shellFailure(request.command, failure.exitCode, failure.reason);
}

function canEnter(tools: LaunchTools, request: LaunchRequest): boolean {
  return tools.credentials.actAs(request.account, () => {
    try {
      // The trailing dot asks for the right to search the directory itself, not only those above it.
      return statSync(`${request.cwd}/.`, { throwIfNoEntry: false }) !== undefined;
    } catch {
      return false;
    }
  });
}

function shellFailure(command: string, exitCode: number, reason: string): LaunchResult {
  return { started: false, exitCode, stderr: `/bin/sh: 1: exec: ${command}: ${reason}\n` };
}

function inspectPath(path: string): PathKind {
  let stat: ReturnType<typeof statSync>;
  try {
    stat = statSync(path, { throwIfNoEntry: false });
  } catch {
    return 'missing'; // a loop of links or a file where a directory should be: nothing to execute there
  }
  if (!stat) return 'missing';
  return stat.isFile() && (stat.mode & 0o111) !== 0 ? 'program' : 'other';
}

function preferToEnvd(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, OOM_SCORE_ADJ);
  } catch {
    // The process has ended already, or this kernel has no such file: nothing depends on it.
  }
}

function rejectNul(request: LaunchRequest): void {
  const texts = [request.command, request.cwd, ...request.args];
  for (const [key, value] of Object.entries(request.env)) {
    if (key === '' || key.includes('='))
      throw new LaunchError('invalid', `invalid environment variable name '${key}'`);
    texts.push(key, value);
  }
  if (texts.some((text) => text.includes('\0'))) {
    throw new LaunchError(
      'invalid',
      'command, arguments, environment and cwd must not contain a NUL character',
    );
  }
}
