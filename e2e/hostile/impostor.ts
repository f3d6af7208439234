import type { Sandbox } from 'e2b';
import { until } from '../setup/until.ts';
import { plant } from './attack.ts';

/** How an impostor answers on a path; see `programs/impostor.py`. */
export interface Lie {
  /** 200 if absent. */
  status?: number;
  headers?: Record<string, string>;
  body?: string;
  /** Sends the body that many times over; 0: without end. */
  times?: number;
  /** Seconds between two bytes of the body. */
  drip?: number;
  /** Sends the body in chunks, without a length. */
  chunked?: boolean;
  /** Sent as it is, in the place of status, headers and body; the connection ends after it. */
  raw?: string;
  /** Takes the request and says nothing. */
  hang?: boolean;
  /** Ends the connection after the answer. */
  close?: boolean;
}

/** By path, such as `/metrics`; `*` is for all others. What is not named is answered as envd would. */
export type Lies = Readonly<Record<string, Lie>>;

const TAKE_OVER_MS = 60_000;

/** Has root in a sandbox close envd's port and answer on it in its place, from when this returns until the sandbox ends. */
export async function impersonateEnvd(sandbox: Sandbox, lies: Lies): Promise<void> {
  const program = await plant(sandbox, 'impostor.py');
  const command = `${program} '${JSON.stringify(lies).replaceAll("'", `'\\''`)}'`;
  const { stdout } = await sandbox.commands.run(command, { user: 'root', timeoutMs: TAKE_OVER_MS });
  if (stdout !== 'taken\n') throw new Error(`envd was not taken over: ${stdout}`);
}

/** Has root in a sandbox stop envd, which is its init process; it does not answer from when this returns. */
export async function stopEnvd(sandbox: Sandbox): Promise<void> {
  // A little later, since a stopped envd cannot say that the command has begun; on a busy machine it may not even so.
  const stop = { background: true, user: 'root', requestTimeoutMs: 3_000 } as const;
  await sandbox.commands.run('sleep 0.3; kill -STOP 1', stop).catch(() => undefined);
  // Of a command, too, that had begun by then.
  const answers = () =>
    sandbox.commands.run('true', { requestTimeoutMs: 1_000, timeoutMs: 1_000 }).then(
      () => true,
      () => false,
    );
  await until('envd is stopped', 10_000, answers, (answered) => !answered);
}
