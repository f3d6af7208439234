import { type CheckResult, ok, warning } from '../check.ts';
import type { Confinement } from '../confinement.ts';
import type { Run, RunResult } from '../run.ts';

const ID = 'user-namespaces';
const TITLE = 'Unprivileged namespaces';

export interface UnprivilegedFacts {
  confinement: Confinement;
  /** Making a user and a network namespace as a user without rights. */
  attempt: RunResult;
}

/** Tries it as nobody if this is root, else as who this is. */
export async function probeUnprivileged(run: Run, confinement: Confinement): Promise<UnprivilegedFacts> {
  const command = ['unshare', '--user', '--map-root-user', '--net', 'true'];
  const attempt =
    confinement.uid === 0
      ? await run('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', ...command])
      : await run(command[0] as string, command.slice(1));
  return { confinement, attempt };
}

/** Islet runs as root and does not need them; who tries it without learns here why it fails. */
export function evaluateUnprivileged({ attempt, confinement }: UnprivilegedFacts): CheckResult {
  if (attempt.code === 0)
    return ok(ID, TITLE, 'users without rights may make namespaces (Islet does not need it)');
  const { sysctls } = confinement;
  const detail = `users without rights cannot make namespaces: ${attempt.stderr.trim()}`;
  const because = (cause: string, fix: string) => warning(ID, TITLE, { detail, cause, fix });
  if (sysctls.appArmorRestrictsUserns === 1) {
    return because(
      'AppArmor restricts them (kernel.apparmor_restrict_unprivileged_userns = 1). Islet as root is not concerned',
      'only to run Islet without root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0',
    );
  }
  if (sysctls.unprivilegedUserns === 0) {
    return because(
      'kernel.unprivileged_userns_clone is 0. Islet as root is not concerned',
      'only to run Islet without root: sysctl -w kernel.unprivileged_userns_clone=1',
    );
  }
  if (sysctls.maxUserNamespaces === 0) {
    return because(
      'user.max_user_namespaces is 0. Islet as root is not concerned',
      'only to run Islet without root: sysctl -w user.max_user_namespaces=65536',
    );
  }
  return because(
    'the kernel or a security module denies it. Islet as root is not concerned',
    'run Islet as root',
  );
}
