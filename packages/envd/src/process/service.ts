import type { MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import { processProto } from '@islet/contracts';
import type { Accounts } from '../accounts/account.ts';
import type { Journal } from '../log/journal.ts';
import { keepaliveMs, MAX_TIMER_MS, rpcAccount, rpcPath } from '../rpc/request.ts';
import { processEnv, type Settings } from '../settings.ts';
import type { LivedTimers } from '../standstill/lived-timers.ts';
import type { ProcessEnd } from './end.ts';
import { DEFAULT_PATH } from './executable.ts';
import { LaunchError } from './launch.ts';
import { type ManagedProcess, ProcessStateError } from './managed-process.ts';
import type { ProcessRegistry, Selector } from './registry.ts';
import type { NextEvent, Subscription } from './subscription.ts';

export interface ProcessServiceDeps {
  settings: Settings;
  accounts: Accounts;
  registry: ProcessRegistry;
  journal: Journal;
  timers: LivedTimers;
  /** PATH of processes that get none from the request. */
  path: string | undefined;
}

/** Carries Start's deadline past the RPC library, which would only end the stream and leave the process. */
export const START_TIMEOUT_HEADER = 'x-start-timeout-ms';

type EventInit = MessageInitShape<typeof processProto.ProcessEventSchema>;

/** Serves process.Process. */
export function createProcessService(deps: ProcessServiceDeps): ServiceImpl<typeof processProto.Process> {
  const { registry } = deps;
  return {
    list() {
      const processes = registry.alive().map(({ pid, tag, config }) => ({ pid, tag, config }));
      return { processes };
    },

    async *start(request, context) {
      const process = start(deps, request, context);
      const subscription = process.subscribe(keepaliveMs(context.requestHeader));
      const deadlineMs = startTimeoutMs(context);
      if (deadlineMs) killAfter(deps.timers, deadlineMs, process, subscription);
      yield* events(process, subscription, context);
    },

    async *connect(request, context) {
      const selector = selectorOf(request.process);
      const process = registry.find(selector);
      if (!process) throw notFound(selector);
      yield* events(process, process.subscribe(keepaliveMs(context.requestHeader)), context);
    },

    async update(request) {
      const process = findAlive(registry, request.process);
      const size = request.pty?.size;
      if (size) guarded(() => process.resize({ cols: size.cols, rows: size.rows }));
      return {};
    },

    async sendInput(request) {
      await send(findAlive(registry, request.process), request.input);
      return {};
    },

    async streamInput(requests) {
      let process: ManagedProcess | undefined;
      for await (const { event } of requests) {
        if (event.case === 'start') process = findAlive(registry, event.value.process);
        else if (event.case === 'data') {
          if (!process)
            throw new ConnectError('the first message must be a start event', Code.InvalidArgument);
          await send(process, event.value.input);
        }
      }
      return {};
    },

    async sendSignal(request) {
      const process = findAlive(registry, request.process);
      const signal = signalName(request.signal);
      guarded(() => process.signal(signal));
      return {};
    },

    async closeStdin(request) {
      const process = findAlive(registry, request.process);
      guarded(() => process.closeStdin());
      return {};
    },
  };
}

function start(
  deps: ProcessServiceDeps,
  request: processProto.StartRequest,
  context: HandlerContext,
): ManagedProcess {
  const account = rpcAccount(context, deps.settings, deps.accounts);
  const config = request.process;
  if (!config) throw new ConnectError('process is missing', Code.InvalidArgument);
  const cwd = rpcPath(config.cwd ?? '', account, deps.settings);
  const env = processEnv(deps.settings, account, { path: deps.path || DEFAULT_PATH, requested: config.envs });
  const size = request.pty
    ? { cols: request.pty.size?.cols ?? 0, rows: request.pty.size?.rows ?? 0 }
    : undefined;
  try {
    const process = deps.registry.start(
      {
        command: config.cmd,
        args: config.args,
        env,
        cwd,
        account,
        io: size ? { kind: 'terminal', size } : { kind: 'pipes', stdin: request.stdin ?? true },
      },
      request.tag,
      {
        cmd: config.cmd,
        args: config.args,
        envs: config.envs,
        ...(config.cwd !== undefined && { cwd: config.cwd }),
      },
    );
    keepJournal(deps.journal, process, account.name);
    return process;
  } catch (error) {
    if (!(error instanceof LaunchError)) throw error;
    const code = error.reason === 'exhausted' ? Code.ResourceExhausted : Code.InvalidArgument;
    throw new ConnectError(error.message, code, undefined, undefined, error);
  }
}

/** Tells the sandbox's owner of a process: never its output or its environment. */
function keepJournal(journal: Journal, process: ManagedProcess, user: string): void {
  const { cmd, args } = process.config;
  const fields = { pid: process.pid, cmd: [cmd, ...args].join(' '), user };
  journal.add('info', 'process', 'process started', { event_type: 'process_start', ...fields });
  process.onEnd(({ exitCode, status }) => {
    const level = exitCode === 0 ? 'info' : 'warn';
    journal.add(level, 'process', `process ended: ${status}`, {
      event_type: 'process_end',
      ...fields,
      exit_code: exitCode,
    });
  });
}

/** Streams start, output and end. The process outlives the stream, but not its own deadline. */
async function* events(
  process: ManagedProcess,
  subscription: Subscription,
  context: HandlerContext,
): AsyncGenerator<{ event: EventInit }> {
  const abandon = () => subscription.close(context.signal.reason ?? new Error('the client is gone'));
  context.signal.addEventListener('abort', abandon, { once: true });
  if (context.signal.aborted) abandon();
  try {
    yield { event: { event: { case: 'start', value: { pid: process.pid } } } };
    for (;;) {
      const next = await subscription.next();
      if (next.type === 'closed') {
        if (next.reason !== undefined) throw next.reason;
        return;
      }
      yield { event: toEvent(next) };
      if (next.type === 'end') return;
    }
  } finally {
    context.signal.removeEventListener('abort', abandon);
    subscription.close();
  }
}

function killAfter(
  timers: LivedTimers,
  ms: number,
  process: ManagedProcess,
  subscription: Subscription,
): void {
  const giveUp = timers.after(Math.min(ms, MAX_TIMER_MS), () => {
    subscription.close(new ConnectError('the operation timed out', Code.DeadlineExceeded));
    process.signal('SIGKILL');
  });
  process.onEnd(giveUp);
}

function startTimeoutMs(context: HandlerContext): number | undefined {
  return Number(context.requestHeader.get(START_TIMEOUT_HEADER)) || undefined;
}

function toEvent(event: Exclude<NextEvent, { type: 'closed' }>): EventInit {
  switch (event.type) {
    case 'data':
      return { event: { case: 'data', value: { output: { case: event.kind, value: event.bytes } } } };
    case 'end':
      return { event: { case: 'end', value: endEvent(event.end) } };
    case 'keepalive':
      return { event: { case: 'keepalive', value: {} } };
  }
}

function endEvent(end: ProcessEnd) {
  const { exitCode, exited, status, error } = end;
  return { exitCode, exited, status, ...(error !== undefined && { error }) };
}

async function send(process: ManagedProcess, input: processProto.ProcessInput | undefined): Promise<void> {
  const value = input?.input;
  if (!value?.case) throw new ConnectError('input is missing', Code.Unimplemented);
  try {
    await process.write(value.case, value.value);
  } catch (error) {
    throw toConnectError(error);
  }
}

function signalName(signal: processProto.Signal): 'SIGTERM' | 'SIGKILL' {
  if (signal === processProto.Signal.SIGTERM) return 'SIGTERM';
  if (signal === processProto.Signal.SIGKILL) return 'SIGKILL';
  throw new ConnectError(`invalid signal: ${signal}`, Code.Unimplemented);
}

function selectorOf(selector: processProto.ProcessSelector | undefined): Selector {
  const value = selector?.selector;
  if (value?.case === 'pid') return { pid: value.value };
  if (value?.case === 'tag') return { tag: value.value };
  throw new ConnectError('process selector must name a pid or a tag', Code.Unimplemented);
}

function findAlive(
  registry: ProcessRegistry,
  selector: processProto.ProcessSelector | undefined,
): ManagedProcess {
  const wanted = selectorOf(selector);
  const process = registry.findAlive(wanted);
  if (!process) throw notFound(wanted);
  return process;
}

function notFound(selector: Selector): ConnectError {
  const which = 'pid' in selector ? `pid ${selector.pid}` : `tag ${selector.tag}`;
  return new ConnectError(`process with ${which} not found`, Code.NotFound);
}

function guarded(action: () => void): void {
  try {
    action();
  } catch (error) {
    throw toConnectError(error);
  }
}

const CODE_OF_REASON = { internal: Code.Internal, unknown: Code.Unknown, not_found: Code.NotFound } as const;

function toConnectError(error: unknown): ConnectError {
  if (!(error instanceof ProcessStateError)) return ConnectError.from(error, Code.Internal);
  return new ConnectError(error.message, CODE_OF_REASON[error.reason], undefined, undefined, error);
}
