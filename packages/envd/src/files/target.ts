import { unknownUser, unresolvablePath } from '@islet/contracts';
import type { Account, Accounts } from '../accounts/account.ts';
import { PathError, resolvePath } from '../accounts/resolve-path.ts';
import { accountFor, type Settings } from '../settings.ts';

/** The user a transfer acts for. @throws IsletError 401 */
export function transferAccount(
  name: string | null | undefined,
  settings: Settings,
  accounts: Accounts,
): Account {
  const found = accountFor(name ?? undefined, settings, accounts);
  if (found.account) return found.account;
  throw unknownUser(found.name);
}

/** Makes a transfer's path absolute. @throws IsletError 400 */
export function transferPath(path: string, account: Account, settings: Settings): string {
  try {
    return resolvePath(path, account, settings.defaultWorkdir);
  } catch (error) {
    if (error instanceof PathError) throw unresolvablePath(error);
    throw error;
  }
}
