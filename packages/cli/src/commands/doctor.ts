import { styleText } from 'node:util';
import { type Command, defineCommand } from '../command-line/command.ts';
import { INSTALL_FLAG } from '../command-line/flags.ts';
import type { CheckResult, CheckStatus } from '../doctor/check.ts';
import { examine } from '../doctor/doctor.ts';
import { runHost } from '../doctor/run.ts';
import { machinePrograms } from '../layout.ts';
import { readUpConfig, UP_OPTIONS } from '../up/config.ts';
import type { CommandIo } from './io.ts';

const MARK: Record<CheckStatus, { sign: string; style: 'green' | 'yellow' | 'red' }> = {
  ok: { sign: '✓', style: 'green' },
  warning: { sign: '!', style: 'yellow' },
  failed: { sign: '✗', style: 'red' },
};

/** `islet doctor`. */
export function doctorCommand(io: CommandIo): Command {
  return defineCommand(io, {
    summary: 'Check everything that a start needs; exit 1 if anything failed',
    flags: {
      json: { kind: 'switch', description: 'Print one JSON object with all results' },
      install: INSTALL_FLAG,
    },
    options: UP_OPTIONS,
    async run({ flags, sources }) {
      const config = readUpConfig(sources);
      const layout = io.layout();
      const results = await examine({
        config,
        migrationsDir: layout.migrationsDir,
        machines: machinePrograms(layout, config),
        run: runHost,
        onResult: flags.json ? () => {} : (result) => io.print(renderCheck(result, io.stdout.color)),
      });
      const count = (status: CheckStatus) => results.filter((result) => result.status === status).length;
      const counts = { ok: count('ok'), warnings: count('warning'), failed: count('failed') };
      if (flags.json)
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
