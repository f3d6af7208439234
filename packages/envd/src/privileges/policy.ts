import type { Account } from '../accounts/account.ts';

/** Groups whose members administer a system, by distribution. */
const ADMIN_GROUPS = ['sudo', 'wheel', 'admin'];

/**
 * Who may become root: root, the sandbox's default user (its owner, who may start processes as root over the API anyway)
 * and members of the groups for that.
 */
export function maySudo(
  account: Account,
  options: { defaultUser: string; groupName: (gid: number) => string },
): boolean {
  if (account.uid === 0 || account.name === options.defaultUser) return true;
  return account.groups.some((gid) => ADMIN_GROUPS.includes(options.groupName(gid)));
}
