import { closeSync, statSync } from 'node:fs';
import type { Account, Accounts } from '../accounts/account.ts';
import type { Logger } from '../log/logger.ts';
import type { DescriptorPassing, Handover } from '../native/descriptor-passing.ts';
import { type LaunchTools, launch } from '../process/launch.ts';
import type { Reaper } from '../process/reaper.ts';
import type { Settings } from '../settings.ts';
import { maySudo } from './policy.ts';
import { FORWARDED_SIGNALS, jsonLines, type SudoAnswer, type SudoRequest } from './protocol.ts';
import { planSudo, type SudoPlan } from './stand-in.ts';

export interface SudoServerDeps {
  settings: Settings;
  accounts: Accounts;
  tools: LaunchTools & { reaper: Reaper };
  passing: DescriptorPassing;
  logger: Logger;
  /** The real program, which decides about everything else by its arguments. It need not be there. */
  program: string;
}

/**
 * Starts sudo as root for users who may, with their own input and output: on kernels that honour no set-user-ID programs, and in
 * templates that have no sudo, where the daemon does what it would.
 * @returns a function that stops it; what was started goes on.
 */
export function serveSudo(path: string, deps: SudoServerDeps): () => void {
  return deps.passing.listen(path, (handover) => {
    handover.socket.on('error', () => {}); // the command in front was killed: 'close' follows
    serve(handover, deps);
  });
}

function serve({ peer, descriptors, socket }: Handover, deps: SudoServerDeps): void {
  let pid: number | undefined;
  const release = () => {
    for (const descriptor of descriptors.splice(0)) closeSync(descriptor);
  };
  const answer = (value: SudoAnswer) => {
    release();
    socket.end(`${JSON.stringify(value)}\n`);
  };
  const signal = (name: NodeJS.Signals) => {
    // The program leads its own group, which dies with its terminal or its front.
    if (pid !== undefined) signalGroup(pid, name);
  };
  socket.once('close', () => {
    release();
    signal('SIGHUP');
  });
  const onLine = (line: unknown) => {
    if (pid !== undefined) {
      const { signal: name } = line as { signal?: unknown };
      const known = FORWARDED_SIGNALS.find((forwarded) => forwarded === name);
      if (known) signal(known);
      return;
    }
    const account = deps.accounts.find(deps.accounts.userName(peer.uid));
    if (!account || !maySudo(account, { ...deps.settings, groupName: deps.accounts.groupName })) {
      answer({ exitCode: 1, message: `sudo: user ${peer.uid} may not run sudo in this sandbox` });
      return;
    }
    const result = start(parseRequest(line), account, descriptors, deps);
    if (!('pid' in result)) {
      answer(result);
      return;
    }
    pid = result.pid;
    release();
    deps.tools.reaper.expect(pid, (child) => {
      pid = undefined;
      answer(child.signal === 0 ? { exitCode: child.exitCode } : { signal: child.signal });
    });
  };
  const feed = jsonLines(onLine);
  socket.on('data', (chunk: Buffer) => {
    try {
      feed(chunk);
    } catch (error) {
      deps.logger.log('warn', 'sudo request failed', { error });
      answer({ exitCode: 1, message: `sudo: ${(error as Error).message}` });
    }
  });
}

function start(
  request: SudoRequest,
  caller: Account,
  descriptors: readonly number[],
  deps: SudoServerDeps,
): { pid: number } | SudoAnswer {
  const [input, output, error] = descriptors;
  if (input === undefined || output === undefined || error === undefined) {
    throw new Error('a descriptor is missing');
  }
  const { find, userName } = deps.accounts;
  const real = statSync(deps.program, { throwIfNoEntry: false })?.isFile();
  const plan = real ? asRoot(request, deps) : planSudo(request, { caller, findAccount: find, userName });
  if ('answer' in plan) return plan.answer;
  const result = launch(deps.tools, {
    ...plan.run,
    io: { kind: 'given', descriptors: [input, output, error] },
  });
  return result.started
    ? { pid: result.pid }
    : { exitCode: result.exitCode, message: result.stderr.trimEnd() };
}

function asRoot({ args, env, cwd }: SudoRequest, { program, accounts }: SudoServerDeps): SudoPlan {
  const account = accounts.find('root');
  if (!account) throw new Error('there is no root');
  return { run: { command: program, args, env, cwd, account } };
}

function parseRequest(line: unknown): SudoRequest {
  const { args, env, cwd } = (line ?? {}) as Record<string, unknown>;
  const isText = (value: unknown): value is string => typeof value === 'string';
  if (!Array.isArray(args) || !args.every(isText) || !isText(cwd)) throw new TypeError('malformed request');
  if (typeof env !== 'object' || env === null || !Object.values(env).every(isText)) {
    throw new TypeError('malformed environment');
  }
  return { args, env: env as Record<string, string>, cwd };
}

function signalGroup(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(-pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
