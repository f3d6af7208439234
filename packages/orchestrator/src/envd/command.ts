import { Agent, type AgentOptions } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { PORTS, processProto } from '@islet/contracts';
import { Budget } from './budget.ts';

/** Bytes that a command may bring, output and all: what it writes faster waits in the sandbox. */
const OUTPUT_RATE = { burst: 8 * 1024 * 1024, perSecond: 4 * 1024 * 1024 };
/** What an event costs beside its bytes: some 1,000 a second and no more. */
const EVENT_COST = 4096;
/** envd cuts output into pieces of 32 KiB. */
const MAX_EVENT_BYTES = 1024 * 1024;
const MAX_STATUS = 200;

/** A program to run in a sandbox. */
export interface SandboxCommand {
  program: string;
  args: readonly string[];
  /** Name of a user of the image. */
  user: string;
  /** Absent: the user's home. */
  cwd?: string;
  env?: Readonly<Record<string, string>>;
  onOutput?: (stream: 'stdout' | 'stderr', bytes: Uint8Array) => void;
}

/** How a program ended. */
export interface CommandEnd {
  exitCode: number;
  /** `exit status 1`, `signal: killed`. */
  status: string;
}

/**
 * Runs a program to its end through envd at `address`. Where `signal` aborts, only the waiting ends.
 * @throws ConnectError where envd refuses it (no such user, no such directory) or is gone.
 */
export async function runInSandbox(
  address: string,
  command: SandboxCommand,
  signal?: AbortSignal,
): Promise<CommandEnd> {
  // The RPC library leaves its listeners on a signal, and a build's signal is given to many commands.
  const stop = new AbortController();
  const onAbort = () => stop.abort(signal?.reason);
  signal?.throwIfAborted();
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    for await (const { event } of events(address, command, stop.signal)) {
      const news = event?.event;
      if (news?.case === 'data') {
        const { output } = news.value;
        if (output.case === 'stdout' || output.case === 'stderr')
          command.onOutput?.(output.case, output.value);
      }
      if (news?.case === 'end') {
        const { exitCode, status } = news.value;
        return { exitCode, status: status.slice(0, MAX_STATUS) };
      }
    }
    throw new Error('envd did not tell how the command ended');
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

/** Starts a program and leaves it running. @throws ConnectError where envd refuses it or is gone. */
export async function startInSandbox(address: string, command: SandboxCommand): Promise<void> {
  const stop = new AbortController();
  for await (const { event } of events(address, command, stop.signal)) {
    if (event?.event.case === 'start') break;
  }
  stop.abort(new Error('it is started'));
}

/** What a program's stream tells, at a bounded pace. */
async function* events(address: string, command: SandboxCommand, signal: AbortSignal) {
  const budget = new Budget(OUTPUT_RATE);
  for await (const message of openStream(address, command, { signal, budget })) {
    yield message;
    await budget.spend(EVENT_COST, signal);
  }
}

interface StreamOptions {
  signal: AbortSignal;
  budget: Budget;
}

function openStream(address: string, command: SandboxCommand, { signal, budget }: StreamOptions) {
  const transport = createConnectTransport({
    baseUrl: `http://${address}:${PORTS.envd}`,
    httpVersion: '1.1',
    useBinaryFormat: false,
    readMaxBytes: MAX_EVENT_BYTES,
    nodeOptions: { agent: new PacedAgent(budget) },
  });
  const client = createClient(processProto.Process, transport);
  const { program, args, user, cwd, env = {} } = command;
  const request = {
    process: { cmd: program, args: [...args], envs: { ...env }, ...(cwd === undefined ? {} : { cwd }) },
    stdin: false,
  };
  const headers = { Authorization: `Basic ${Buffer.from(`${user}:`).toString('base64')}` };
  return client.start(request, { headers, signal });
}

/**
 * Connections for one exchange each, since an open one would keep the sandbox from being saved. All that comes over them is counted,
 * also what is no output, such as interim answers without end.
 */
class PacedAgent extends Agent {
  readonly #budget: Budget;

  constructor(budget: Budget) {
    super({ keepAlive: false });
    this.#budget = budget;
  }

  override createConnection(options: AgentOptions, callback?: (error: Error | null, socket: Duplex) => void) {
    const socket = super.createConnection(options, callback) as Socket;
    socket.once('connect', () =>
      socket.on('data', (bytes: Buffer) => {
        const waitMs = this.#budget.take(bytes.length);
        if (waitMs === 0) return;
        socket.pause();
        setTimeout(() => socket.resume(), waitMs).unref();
      }),
    );
    return socket;
  }
}
