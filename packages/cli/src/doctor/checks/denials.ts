import { type CheckResult, ok, warning } from '../check.ts';
import { readOptional } from '../confinement.ts';
import type { Run } from '../run.ts';

const ID = 'denials';
const TITLE = 'AppArmor and SELinux';

/** Where auditd writes, if it runs; else the kernel's log has it. */
const AUDIT_LOG = '/var/log/audit/audit.log';
const MOST_NAMED = 5;

/** Something that a security module of the kernel did not let a program do. */
export interface Denial {
  module: 'AppArmor' | 'SELinux';
  /** The program's short name. */
  program: string;
  /** AppArmor's profile or SELinux's context that the program ran under. */
  subject: string;
  what: string;
}

/** What was denied since a time, s since 1970. */
export async function probeDenials(run: Run, since: number): Promise<Denial[]> {
  const [kernel, audit] = await Promise.all([run('dmesg', []), readOptional(AUDIT_LOG)]);
  return parseDenials(`${kernel.stdout}\n${audit ?? ''}`, since);
}

/** Reads records of the kernel's audit (type AVC, 1400). */
export function parseDenials(log: string, since: number): Denial[] {
  return log.split('\n').flatMap((line): Denial[] => {
    const time = /audit\((\d+\.\d+):\d+\)/.exec(line)?.[1];
    if (time === undefined || Number(time) < since) return [];
    const field = (name: string) => new RegExp(`[ ]${name}="?([^"\\s]+)`).exec(line)?.[1] ?? '';
    const program = field('comm');
    if (/ apparmor="DENIED"/.test(line)) {
      const what = [field('operation'), field('name') || field('capname')].filter(Boolean).join(' ');
      return [{ module: 'AppArmor', program, subject: field('profile'), what }];
    }
    const calls = / avc: +denied +\{ ([^}]+) \}/.exec(line)?.[1];
    if (calls === undefined || / permissive=1/.test(line)) return [];
    return [{ module: 'SELinux', program, subject: field('scontext'), what: `${calls} ${field('tclass')}` }];
  });
}

export function evaluateDenials(denials: readonly Denial[]): CheckResult {
  if (denials.length === 0) return ok(ID, TITLE, 'denied nothing while this ran');
  const lines = denials.map(
    ({ module, program, subject, what }) => `${module} denied ${program} "${what}" under ${subject}`,
  );
  const of = (module: Denial['module']) => denials.filter((denial) => denial.module === module);
  const profiles = [...new Set(of('AppArmor').map(({ subject }) => subject))];
  const fixes = [
    ...(profiles.length > 0 ? [`aa-complain ${profiles.map((name) => `"${name}"`).join(' ')}`] : []),
    ...(of('SELinux').length > 0
      ? ['ausearch -m avc -ts recent | audit2allow -M islet && semodule -i islet.pp']
      : []),
  ];
  return warning(ID, TITLE, {
    detail: [...new Set(lines)].slice(0, MOST_NAMED).join('; '),
    cause: 'a rule of this machine forbids it; what failed above may have failed for that',
    fix: fixes.join('; '),
  });
}
