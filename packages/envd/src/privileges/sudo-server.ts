import { closeSync } from 'node:fs';
import type { Accounts } from '../accounts/account.ts';
import type { Logger } from '../log/logger.ts';
import type { DescriptorPassing, Handover } from '../native/descriptor-passing.ts';
import { type LaunchTools, launch } from '../process/launch.ts';
import type { Reaper } from '../process/reaper.ts';
import type { Settings } from '../settings.ts';
import { maySudo } from './policy.ts';
import { FORWARDED_SIGNALS, jsonLines, type SudoAnswer, type SudoRequest } from './protocol.ts';

export interface SudoServerDeps {
  settings: Settings;
  accounts: Accounts;
  tools: LaunchTools & { reaper: Reaper };
  passing: DescriptorPassing;
  logger: Logger;
  /** The real program, which decides about everything else by its arguments. */
  program: string;
}

/**
 * Starts sudo as root for users who may, with their own input and output, on kernels that honour no set-user-ID programs.
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
    const result = start(parseRequest(line), descriptors, deps);
    if ('message' in result) {
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
  descriptors: readonly number[],
  deps: SudoServerDeps,
): { pid: number } | { exitCode: number; message: string } {
  const root = deps.accounts.find('root');
  const [input, output, error] = descriptors;
  if (!root || input === undefined || output === undefined || error === undefined) {
    throw new Error('there is no root, or a descriptor is missing');
  }
  const result = launch(deps.tools, {
    command: deps.program,
    args: request.args,
    env: request.env,
    cwd: request.cwd,
    account: root,
    io: { kind: 'given', descriptors: [input, output, error] },
  });
  return result.started
    ? { pid: result.pid }
    : { exitCode: result.exitCode, message: result.stderr.trimEnd() };
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
