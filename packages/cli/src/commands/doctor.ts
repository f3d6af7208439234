import { styleText } from 'node:util';
import { defineCommand } from 'citty';
import type { CheckResult, CheckStatus } from '../doctor/check.ts';
import { examine } from '../doctor/doctor.ts';
import { runHost } from '../doctor/run.ts';
import { machinePrograms } from '../layout.ts';
import { optionArgs, optionFlags, refuseUnknownFlags } from '../options/args.ts';
import { readUpConfig, UP_OPTIONS } from '../up/config.ts';
import type { CommandIo } from './io.ts';

const MARK: Record<CheckStatus, { sign: string; style: 'green' | 'yellow' | 'red' }> = {
  ok: { sign: '✓', style: 'green' },
  warning: { sign: '!', style: 'yellow' },
  failed: { sign: '✗', style: 'red' },
};

/** `islet doctor`. */
export function doctorCommand(io: CommandIo) {
  const args = {
    ...optionArgs(UP_OPTIONS),
    json: { type: 'boolean', description: 'Print one JSON object with all results' },
  } as const;
  return defineCommand({
    meta: { name: 'doctor', description: 'Check everything that a start needs; exit 1 if anything failed' },
    args,
    async run(context) {
      refuseUnknownFlags(context.rawArgs, { ...args, 'no-install': { type: 'boolean' } });
      const asJson = context.args.json === true;
      const config = readUpConfig({ flags: optionFlags(UP_OPTIONS, context), env: io.env });
      const layout = io.layout();
      const results = await examine({
        config,
        migrationsDir: layout.migrationsDir,
        machines: machinePrograms(layout, config),
        run: runHost,
        onResult: asJson ? () => {} : (result) => io.print(renderCheck(result, io.stdout.color)),
      });
      const count = (status: CheckStatus) => results.filter((result) => result.status === status).length;
      const counts = { ok: count('ok'), warnings: count('warning'), failed: count('failed') };
      if (asJson)
        io.print(JSON.stringify({ ok: counts.failed === 0, counts, checks: results }, undefined, 2));
      else io.print(`\n${counts.ok} ok, ${counts.warnings} warnings, ${counts.failed} failed`);
      if (counts.failed > 0) io.setExitCode(1);
    },
  });
}

export function renderCheck(result: CheckResult, color: boolean): string {
  const { sign, style } = MARK[result.status];
  const lines = [`${color ? styleText(style, sign) : sign} ${result.title}: ${result.detail}`];
  if (result.cause) lines.push(`    cause: ${result.cause}`);
  if (result.fix) lines.push(`    mend:  ${result.fix}`);
  return lines.join('\n');
}
