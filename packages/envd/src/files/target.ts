import { IsletError } from '@islet/contracts';
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
  throw new IsletError(401, `error looking up user '${found.name}': user: unknown user ${found.name}`);
}

/** Makes a transfer's path absolute. @throws IsletError 400 */
export function transferPath(path: string, account: Account, settings: Settings): string {
  try {
    return resolvePath(path, account, settings.defaultWorkdir);
  } catch (error) {
    if (error instanceof PathError)
      throw new IsletError(400, `error resolving path: ${error.message}`, { cause: error });
    throw error;
  }
}
