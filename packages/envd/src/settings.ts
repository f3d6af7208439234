import type { Account, Accounts } from './accounts/account.ts';

/** What /init decides about this sandbox; everything else reads it. */
export interface Settings {
  accessToken: string | undefined;
  defaultUser: string;
  defaultWorkdir: string | undefined;
  /** Variables that have programs trust the sandbox's bundle of authorities; the owner's replace them. */
  trustEnv: Record<string, string>;
  /** Variables given by the sandbox's owner. */
  userEnv: Record<string, string>;
  /** Variables that tell programs where they run; the owner's cannot replace them. */
  systemEnv: Record<string, string>;
}

export function createSettings(): Settings {
  return {
    accessToken: undefined,
    defaultUser: 'root',
    defaultWorkdir: undefined,
    trustEnv: {},
    userEnv: {},
    systemEnv: { E2B_SANDBOX: 'true' },
  };
}

/** The variables every process gets. */
export function globalEnv(settings: Settings): Record<string, string> {
  return { ...settings.trustEnv, ...settings.userEnv, ...settings.systemEnv };
}

/** The environment of a process: nothing is inherited from envd except its PATH. */
export function processEnv(
  settings: Settings,
  account: Account,
  options: { path: string; requested: Readonly<Record<string, string>> },
): Record<string, string> {
  return {
    PATH: options.path,
    HOME: account.home,
    USER: account.name,
    LOGNAME: account.name,
    ...globalEnv(settings),
    ...options.requested,
  };
}

/** The user that a request names or that is the default; undefined if there is no such user. */
export function accountFor(
  name: string | undefined,
  settings: Settings,
  accounts: Accounts,
): { name: string; account: Account | undefined } {
  const wanted = name || settings.defaultUser;
  return { name: wanted, account: accounts.find(wanted) };
}
