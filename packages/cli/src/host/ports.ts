import { createServer } from 'node:net';
import { findPortHolder } from './port-holders.ts';

export interface PortWish {
  /** The option's flag, for the message. */
  flag: string;
  purpose: string;
  host: string;
  port: number;
}

export interface PortProblem {
  wish: PortWish;
  /** Completes "cannot listen on <host>:<port>: ". */
  reason: string;
}

/** Tries every port for a moment. Those that are 0 are left to the system. */
export async function findPortProblems(wishes: readonly PortWish[]): Promise<PortProblem[]> {
  const problems: PortProblem[] = [];
  for (const [i, wish] of wishes.entries()) {
    if (wish.port === 0) continue;
    const twin = wishes.slice(0, i).find((other) => other.port === wish.port);
    const reason = twin ? `--${twin.flag} has the same port` : await whyNotFree(wish);
    if (reason) problems.push({ wish, reason });
  }
  return problems;
}

async function whyNotFree({ host, port }: PortWish): Promise<string | undefined> {
  const code = await tryListen(host, port);
  if (code === undefined) return undefined;
  if (code === 'EADDRINUSE') {
    const holder = await findPortHolder({ host, port });
    return holder ? `in use by pid ${holder.pid} (${holder.command})` : 'in use by another process';
  }
  if (code === 'EACCES') return 'ports below 1024 need root';
  if (code === 'EADDRNOTAVAIL') return `this machine has no address ${host}`;
  return code;
}

function tryListen(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

export function describePortProblem({ wish, reason }: PortProblem): string {
  return `cannot listen on ${wish.host}:${wish.port} for ${wish.purpose}: ${reason}. Free it, or choose another with --${wish.flag}`;
}
