import type { MemberRole } from '@islet/db';
import { type CommandGroup, defineCommand } from '../command-line/command.ts';
import { JSON_FLAG } from '../command-line/flags.ts';
import { openRunning } from '../control/open.ts';
import { OPTIONS } from '../options/options.ts';
import { OptionError, requireOption } from '../options/spec.ts';
import type { CommandIo } from './io.ts';

const UNITS_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const LONGEST_MS = 30 * UNITS_MS.d;

/** `islet token …`: what lets other machines join. */
export function tokenCommand(io: CommandIo): CommandGroup {
  const create = defineCommand(io, {
    summary: 'Make a token that one machine joins the cluster with, and show it, this once',
    flags: {
      role: {
        kind: 'text',
        hint: 'node|edge',
        description: 'What the machine is to be',
        fallback: 'node',
      },
      expires: {
        kind: 'text',
        hint: 'time',
        description: 'How long it may be used, such as 30m, 1h or 2d',
        fallback: '1h',
      },
      json: JSON_FLAG,
    },
    options: ['dataDir'],
    async run({ flags, sources }) {
      const request = { role: parseRole(flags.role), lifeMs: parseLife(flags.expires) };
      const running = await openRunning(requireOption(OPTIONS.dataDir, sources));
      const made = await running.createJoinToken(request);
      if (flags.json) return io.print(JSON.stringify(made));
      io.print(
        [
          made.token,
          '',
          `It works once, until ${made.expiresAt}. On the machine that is to be the ${made.role}, which must reach ${made.api}:`,
          '',
          '  ./islet join --start     and paste it there',
        ].join('\n'),
      );
    },
  });
  return { summary: 'Let other machines join the cluster', commands: { create } };
}

function parseRole(text: string): MemberRole {
  if (text === 'node' || text === 'edge') return text;
  if (text === 'api') {
    throw new OptionError(
      '--role api: another API does not join. Give it the same database and a copy of the secrets: see docs/cluster.md',
    );
  }
  throw new OptionError(`--role takes node or edge, not "${text}"`);
}

function parseLife(text: string): number {
  const [, count, unit] = /^([1-9]\d{0,5})([smhd])$/.exec(text) ?? [];
  const ms = Number(count) * UNITS_MS[(unit ?? 's') as keyof typeof UNITS_MS];
  if (!(ms <= LONGEST_MS)) {
    throw new OptionError(`--expires takes a time up to 30d, such as 30m, 1h or 2d, not "${text}"`);
  }
  return ms;
}
