import { type Command, defineCommand } from '../command-line/command.ts';
import { JSON_FLAG } from '../command-line/flags.ts';
import { openRunning } from '../control/open.ts';
import { OPTIONS } from '../options/options.ts';
import { requireOption } from '../options/spec.ts';
import type { CommandIo } from './io.ts';
import { table } from './table.ts';

/** `islet usage`. */
export function usageCommand(io: CommandIo): Command {
  return defineCommand(io, {
    summary: 'Show what teams have used, by day',
    flags: {
      team: { kind: 'text', hint: 'id|slug', description: 'Only this team' },
      start: {
        kind: 'text',
        hint: 'day',
        description: 'First day, such as 2026-12-01 (default 29 days before the last)',
      },
      end: { kind: 'text', hint: 'day', description: 'Last day (default today, UTC)' },
      json: JSON_FLAG,
    },
    options: ['dataDir'],
    async run({ flags, sources }) {
      const administration = await openRunning(requireOption(OPTIONS.dataDir, sources));
      const { team, start, end } = flags;
      const teams = await administration.listUsage({ team, start, end });
      if (flags.json) return io.print(JSON.stringify(teams));
      const rows = teams.flatMap(({ team, days }) =>
        days.map((used) => [
          ...[team, used.day, String(used.sandboxes)],
          ...[
            used.vcpuHours,
            used.memoryGiBHours,
            used.pausedGiBHours,
            used.templateGiBHours,
            used.volumeGiBHours,
          ].map((hours) => hours.toFixed(3)),
        ]),
      );
      if (rows.length === 0) return io.print('Nothing was used.');
      io.print(
        table(
          [
            'TEAM',
            'DAY',
            'SANDBOXES',
            'VCPU H',
            'MEMORY GIB H',
            'PAUSED GIB H',
            'TEMPLATES GIB H',
            'VOLUMES GIB H',
          ],
          rows,
        ),
      );
    },
  });
}
