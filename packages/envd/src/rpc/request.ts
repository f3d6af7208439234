import { Code, ConnectError, type HandlerContext } from '@connectrpc/connect';
import type { Account, Accounts } from '../accounts/account.ts';
import { PathError, resolvePath } from '../accounts/resolve-path.ts';
import { accountFor, type Settings } from '../settings.ts';

/** Silence after which a stream shows a sign of life, if the client did not say. */
const DEFAULT_KEEPALIVE_SECONDS = 90;
/** Longest delay of Node's timers, in milliseconds. */
export const MAX_TIMER_MS = 0x7fff_ffff;

/** Name from `Authorization: Basic base64("<user>:")`, undefined if there is none. */
export function basicUser(header: string | null | undefined): string | undefined {
  const match = /^basic\s+([a-z0-9+/=_-]+)\s*$/i.exec(header ?? '');
  if (!match?.[1]) return undefined;
  const text = Buffer.from(match[1], 'base64').toString('utf8');
  return text.slice(0, text.includes(':') ? text.indexOf(':') : undefined) || undefined;
}

/** The user an RPC acts for. @throws ConnectError unauthenticated */
export function rpcAccount(context: HandlerContext, settings: Settings, accounts: Accounts): Account {
  const { name, account } = accountFor(
    basicUser(context.requestHeader.get('authorization')),
    settings,
    accounts,
  );
  if (name === '') throw new ConnectError('no user specified', Code.Unauthenticated);
  if (!account) throw new ConnectError(`invalid username: '${name}'`, Code.Unauthenticated);
  return account;
}

/** Makes an RPC's path absolute. @throws ConnectError invalid_argument */
export function rpcPath(path: string, account: Account, settings: Settings): string {
  try {
    return resolvePath(path, account, settings.defaultWorkdir);
  } catch (error) {
    if (error instanceof PathError) throw new ConnectError(error.message, Code.InvalidArgument);
    throw error;
  }
}

/** Milliseconds of silence after which a keepalive is due, from `Keepalive-Ping-Interval`. */
export function keepaliveMs(headers: Headers): number {
  const text = headers.get('keepalive-ping-interval') ?? '';
  const seconds = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  return Math.min((seconds > 0 ? seconds : DEFAULT_KEEPALIVE_SECONDS) * 1000, MAX_TIMER_MS);
}
