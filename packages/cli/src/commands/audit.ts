import type { AuditActor, AuditRecord } from '@islet/sinks';
import { type Command, defineCommand } from '../command-line/command.ts';
import { openRunning } from '../control/open.ts';
import { OPTIONS } from '../options/options.ts';
import { OptionError, requireOption } from '../options/spec.ts';
import type { CommandIo } from './io.ts';
import { table } from './table.ts';

const ACTORS: readonly AuditActor[] = ['team', 'user', 'operator', 'bearer'];
/** Records that are asked for at once. */
const PAGE = 500;

/** `islet audit`. */
export function auditCommand(io: CommandIo): Command {
  return defineCommand(io, {
    summary: 'Show who changed what, from where and with which key, in the last 90 days',
    flags: {
      team: { kind: 'text', hint: 'id|slug', description: 'Only for this team' },
      actor: { kind: 'text', hint: 'who', description: `Only by these: ${ACTORS.join(', ')}` },
      key: { kind: 'text', hint: 'id', description: 'Only with this key or token' },
      object: { kind: 'text', hint: 'id', description: 'Only about this: a sandbox, a template, a key …' },
      address: { kind: 'text', hint: 'ip', description: 'Only from here' },
      method: { kind: 'text', hint: 'name', description: 'Only this HTTP method or operator call' },
      since: { kind: 'text', hint: 'time', description: 'From then on: 2026-12-01, 2026-12-01T10:00Z' },
      until: { kind: 'text', hint: 'time', description: 'Before then' },
      limit: {
        kind: 'text',
        hint: 'n',
        description: 'The newest so many; 0: all (default 100, with --json all)',
      },
      json: { kind: 'switch', description: 'JSON lines, oldest first' },
    },
    options: ['dataDir'],
    async run({ flags, sources }) {
      const actor = ACTORS.find((known) => known === flags.actor);
      if (flags.actor !== undefined && !actor) {
        throw new OptionError(`--actor takes ${ACTORS.join(', ')}, not "${flags.actor}"`);
      }
      const limit = readLimit(flags.limit ?? (flags.json ? '0' : '100'));
      const administration = await openRunning(requireOption(OPTIONS.dataDir, sources));
      const query = {
        ...{ team: flags.team, actor, keyId: flags.key, object: flags.object },
        ...{ address: flags.address, method: flags.method },
        startMs: readTime('since', flags.since),
        endMs: readTime('until', flags.until),
        order:
          flags.json && limit === Number.POSITIVE_INFINITY ? ('ascending' as const) : ('descending' as const),
      };
      const records: AuditRecord[] = [];
      let after: AuditRecord | undefined;
      for (let left = limit; left > 0; ) {
        const asked = Math.min(left, PAGE);
        const place = after && { timeMs: after.timeMs, id: after.id };
        const page = await administration.listAudit({ ...query, limit: asked, after: place });
        after = page.at(-1);
        left -= page.length;
        // An export may be longer than memory.
        if (query.order === 'ascending') for (const record of page) io.print(jsonLine(record));
        else records.push(...page);
        if (page.length < asked) break;
      }
      if (query.order === 'ascending') return;
      records.reverse();
      if (flags.json) for (const record of records) io.print(jsonLine(record));
      else io.print(records.length === 0 ? 'There is nothing of that.' : auditTable(records));
    },
  });
}

function jsonLine({ timeMs, ...record }: AuditRecord): string {
  return JSON.stringify({ time: new Date(timeMs).toISOString(), ...record });
}

function auditTable(records: readonly AuditRecord[]): string {
  return table(
    ['TIME', 'WHO', 'KEY', 'FROM', 'CALL', 'STATUS', 'ABOUT'],
    records.map(
      ({ timeMs, via, actor, teamId, userId, keyMask, address, method, route, status, objects }) => [
        ...[new Date(timeMs).toISOString(), `${actor} ${userId ?? teamId ?? ''}`.trim(), keyMask ?? '-'],
        ...[address ?? via, `${method} ${route}`.trim(), String(status)],
        Object.entries(objects)
          .map(([name, value]) => `${name}=${value}`)
          .join(' '),
      ],
    ),
  );
}

function readLimit(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new OptionError(`--limit takes a whole number, not "${text}"`);
  return Number(text) || Number.POSITIVE_INFINITY;
}

function readTime(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const timeMs = Date.parse(text);
  if (!/^\d{4}-\d\d-\d\d/.test(text) || Number.isNaN(timeMs)) {
    throw new OptionError(`--${flag} takes a time such as 2026-12-01 or 2026-12-01T10:00Z, not "${text}"`);
  }
  return timeMs;
}
