import type { OwedState } from '@islet/db';
import { type CommandGroup, defineCommand } from '../command-line/command.ts';
import { JSON_FLAG } from '../command-line/flags.ts';
import { OptionError } from '../options/spec.ts';
import { INSTALLATION_OPTIONS, withInstallation } from './installation.ts';
import type { CommandIo } from './io.ts';
import { table } from './table.ts';

const WEBHOOK_WORD = { webhook: "The webhook's id" };
const STATES: readonly OwedState[] = ['pending', 'delivered', 'dead'];
const MOST = 1_000;

/** `islet webhooks …`. */
export function webhooksCommand(io: CommandIo): CommandGroup {
  const list = defineCommand(io, {
    summary: 'List webhooks, oldest first',
    flags: {
      team: { kind: 'text', hint: 'id|slug', description: 'Only this team’s webhooks' },
      json: JSON_FLAG,
    },
    options: INSTALLATION_OPTIONS,
    async run({ flags, sources }) {
      const webhooks = await withInstallation(io, sources, (admin) =>
        admin.listWebhooks({ team: flags.team }),
      );
      if (flags.json) return io.print(JSON.stringify(webhooks));
      if (webhooks.length === 0) return io.print('There are no webhooks.');
      const rows = webhooks.map(({ id, team, name, url, events, enabled }) => [
        ...[id, team, name, url, enabled ? 'yes' : 'no'],
        events.map((event) => event.slice(event.lastIndexOf('.') + 1)).join(','),
      ]);
      io.print(table(['ID', 'TEAM', 'NAME', 'URL', 'ENABLED', 'EVENTS'], rows));
    },
  });

  const deliveries = defineCommand(io, {
    summary: 'List what a webhook was and is owed in the last week, newest first',
    words: WEBHOOK_WORD,
    flags: {
      state: { kind: 'text', hint: 'state', description: `Only these: ${STATES.join(', ')}` },
      limit: { kind: 'text', hint: 'n', description: `How many, up to ${MOST}`, fallback: '100' },
      json: JSON_FLAG,
    },
    options: INSTALLATION_OPTIONS,
    async run({ words, flags, sources }) {
      const state = STATES.find((known) => known === flags.state);
      if (flags.state !== undefined && !state) {
        throw new OptionError(`--state takes ${STATES.join(', ')}, not "${flags.state}"`);
      }
      const limit = Number(flags.limit);
      if (!/^\d+$/.test(flags.limit) || limit < 1 || limit > MOST) {
        throw new OptionError(`--limit takes a whole number from 1 to ${MOST}, not "${flags.limit}"`);
      }
      const owed = await withInstallation(io, sources, (admin) =>
        admin.listDeliveries({ webhook: words.webhook, state, limit }),
      );
      if (flags.json) return io.print(JSON.stringify(owed));
      if (owed.length === 0) return io.print('There are none.');
      const rows = owed.map(
        ({ eventId, eventType, sandboxId, eventAt, state, attempts, nextAttemptAt, lastError }) => [
          ...[eventId, eventType.slice(eventType.lastIndexOf('.') + 1), sandboxId, eventAt, state],
          ...[String(attempts), nextAttemptAt ?? '-', lastError ?? '-'],
        ],
      );
      io.print(table(['EVENT', 'TYPE', 'SANDBOX', 'TIME', 'STATE', 'ATTEMPTS', 'NEXT', 'LAST ERROR'], rows));
    },
  });

  const replay = defineCommand(io, {
    summary: 'Send an event of a webhook again, or all that were given up',
    words: WEBHOOK_WORD,
    flags: {
      event: { kind: 'text', hint: 'id', description: 'This event alone (default all that are dead)' },
      json: JSON_FLAG,
    },
    options: INSTALLATION_OPTIONS,
    async run({ words, flags, sources }) {
      const replayed = await withInstallation(io, sources, (admin) =>
        admin.replayDeliveries({ webhook: words.webhook, event: flags.event }),
      );
      if (flags.json) return io.print(JSON.stringify(replayed));
      io.print(replayed.count === 0 ? 'Nothing to send again.' : `Sending ${replayed.count} again.`);
    },
  });

  return {
    summary: 'List webhooks and what they are owed, and send it again',
    commands: { list, deliveries, replay },
  };
}
