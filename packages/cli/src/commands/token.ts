import type { JoinRole } from '@islet/db';
import { type CommandGroup, defineCommand } from '../command-line/command.ts';
import { JSON_FLAG } from '../command-line/flags.ts';
import { openRunning } from '../control/open.ts';
import { OPTIONS } from '../options/options.ts';
import { OptionError, requireOption } from '../options/spec.ts';
import type { CommandIo } from './io.ts';

const UNITS_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** How long a token may be used that says nothing of it, and how long at most. */
const LIVES: Record<JoinRole, { usual: string; longest: string }> = {
  node: { usual: '1h', longest: '30d' },
  edge: { usual: '1h', longest: '30d' },
  // As good as the authority's key.
  api: { usual: '10m', longest: '1h' },
};

/** `islet token …`: what lets other machines join. */
export function tokenCommand(io: CommandIo): CommandGroup {
  const create = defineCommand(io, {
    summary: 'Make a token that one machine joins the cluster with, and show it, this once',
    flags: {
      role: {
        kind: 'text',
        hint: 'node|edge|api',
        description: 'What the machine is to be',
        fallback: 'node',
      },
      expires: {
        kind: 'text',
        hint: 'time',
        description:
          'How long it may be used, such as 30m, 1h or 2d (default 1h; 10m for an API, which has at most 1h)',
      },
      json: JSON_FLAG,
    },
    options: ['dataDir'],
    async run({ flags, sources }) {
      const role = parseRole(flags.role);
      const request = { role, lifeMs: parseLife(flags.expires, role) };
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
          ...(role === 'api' ? ['', WARNING] : []),
        ].join('\n'),
      );
    },
  });
  return { summary: 'Let other machines join the cluster', commands: { create } };
}

const WARNING =
  "Whoever uses it first gets the key of the cluster's authority and the secrets of all APIs: show it to no one else.";

function parseRole(text: string): JoinRole {
  if (text === 'node' || text === 'edge' || text === 'api') return text;
  throw new OptionError(`--role takes node, edge or api, not "${text}"`);
}

function parseLife(text: string | undefined, role: JoinRole): number {
  const { usual, longest } = LIVES[role];
  const ms = toMs(text ?? usual);
  if (ms !== undefined && ms <= Number(toMs(longest))) return ms;
  throw new OptionError(
    `--expires takes a time up to ${longest} for role ${role}, such as ${usual}, not "${text}"`,
  );
}

function toMs(text: string): number | undefined {
  const [, count, unit] = /^([1-9]\d{0,5})([smhd])$/.exec(text) ?? [];
  return unit === undefined ? undefined : Number(count) * UNITS_MS[unit as keyof typeof UNITS_MS];
}
