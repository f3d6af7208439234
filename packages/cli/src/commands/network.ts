import { type CommandGroup, defineCommand } from '../command-line/command.ts';
import { JSON_FLAG } from '../command-line/flags.ts';
import { OptionError } from '../options/spec.ts';
import { CONNECTION_OPTIONS, callApi, findApi } from '../templates/connection.ts';
import type { CommandIo } from './io.ts';
import { table } from './table.ts';

const SANDBOX_WORD = { sandbox: "The sandbox's id" };
const DECISIONS = ['allowed', 'denied'];
const MOST = 1000;

interface Verdict {
  decision: string;
  reason: string;
  protocol: string;
  name?: string;
  address: string;
  port: number;
  connections: number;
  lastSeen: string;
}

interface Suggestion {
  allowOut: string[];
  denyOut: string[];
  connections: number;
}

/** `islet network …`. */
export function networkCommand(io: CommandIo): CommandGroup {
  const verdicts = defineCommand(io, {
    summary: 'Show what a sandbox reached and what it was denied, and why, latest first',
    words: SANDBOX_WORD,
    flags: {
      decision: { kind: 'text', hint: 'what', description: `Only these: ${DECISIONS.join(', ')}` },
      limit: { kind: 'text', hint: 'n', description: `How many, up to ${MOST}`, fallback: '100' },
      json: JSON_FLAG,
    },
    options: CONNECTION_OPTIONS,
    async run({ words, flags, sources }) {
      const { decision, limit } = flags;
      if (decision !== undefined && !DECISIONS.includes(decision)) {
        throw new OptionError(`--decision takes ${DECISIONS.join(', ')}, not "${decision}"`);
      }
      if (!/^\d{1,4}$/.test(limit) || Number(limit) < 1 || Number(limit) > MOST) {
        throw new OptionError(`--limit takes a whole number from 1 to ${MOST}, not "${limit}"`);
      }
      const query = new URLSearchParams({ limit, ...(decision !== undefined && { decision }) });
      const api = await findApi(sources);
      const path = `${pathOf(words.sandbox)}/verdicts?${query}`;
      const { verdicts: found } = await callApi<{ verdicts: Verdict[] }>(api, 'GET', path);
      if (flags.json) return io.print(JSON.stringify(found));
      if (found.length === 0) return io.print('No connection of it is known.');
      const rows = found.map(({ lastSeen, decision, protocol, name, address, port, connections, reason }) => [
        ...[lastSeen, decision, `${protocol} ${name ?? address}:${port}`, String(connections), reason],
      ]);
      io.print(table(['LAST SEEN', 'DECISION', 'DESTINATION', 'TIMES', 'WHY'], rows));
    },
  });

  const suggest = defineCommand(io, {
    summary: 'Print the shortest rules that would have allowed what a sandbox reached',
    words: SANDBOX_WORD,
    flags: { json: JSON_FLAG },
    options: CONNECTION_OPTIONS,
    async run({ words, flags, sources }) {
      const api = await findApi(sources);
      const found = await callApi<Suggestion>(api, 'GET', `${pathOf(words.sandbox)}/suggestions`);
      if (flags.json) return io.print(JSON.stringify(found));
      const { connections, ...rules } = found;
      io.print(`From ${connections} connections that were allowed:\n${JSON.stringify(rules, undefined, 2)}`);
    },
  });

  return {
    summary: 'Show what a sandbox reached and why it may, and suggest rules',
    commands: { verdicts, suggest },
  };
}

function pathOf(sandbox: string): string {
  return `/sandboxes/${encodeURIComponent(sandbox)}/network`;
}
