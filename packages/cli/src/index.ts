import type { AnyCommand } from './command-line/command.ts';
import { runProgram } from './command-line/run.ts';
import type { CommandIo } from './commands/io.ts';
import { findLayout } from './layout.ts';
import { explainError } from './output/reporter.ts';
import { interruptible, surviveLostReader } from './signals.ts';

export { configTemplate } from './service/config-file.ts';
export { CONFIG_FILE, serviceUnit, UNIT } from './service/unit.ts';

/** Set by the build; absent if the source runs as it is. */
declare const ISLET_VERSION: string | undefined;

/** Runs one command line; sets the process's exit status. */
export async function runIslet(words: readonly string[]): Promise<void> {
  const io = processIo();
  try {
    await runProgram(
      io,
      {
        name: 'islet',
        summary: 'A self-hosted sandbox cloud for AI agents that speaks the E2B protocol',
        commands: commandsOf(io),
      },
      words,
    );
  } catch (error) {
    const { message, causes } = explainError(error);
    const lines = [message, ...causes.map((cause) => `  because: ${cause}`)];
    process.stderr.write(`islet: ${lines.join('\n')}\n`);
    io.setExitCode(1);
  }
}

/**
 * By name. Loaded when they are asked for: all services together take half a second to load, and most commands need few of
 * them.
 */
export function commandsOf(io: CommandIo): Record<string, () => Promise<AnyCommand>> {
  return {
    up: async () => (await import('./commands/up.ts')).upCommand(io),
    api: async () => (await import('./commands/api.ts')).apiCommand(io),
    edge: async () => (await import('./commands/edge.ts')).edgeCommand(io),
    node: async () => (await import('./commands/node.ts')).nodeCommand(io),
    audit: async () => (await import('./commands/audit.ts')).auditCommand(io),
    doctor: async () => (await import('./commands/doctor.ts')).doctorCommand(io),
    join: async () => (await import('./commands/join.ts')).joinCommand(io),
    keys: async () => (await import('./commands/keys.ts')).keysCommand(io),
    migrate: async () => (await import('./commands/migrate.ts')).migrateCommand(io),
    network: async () => (await import('./commands/network.ts')).networkCommand(io),
    secrets: async () => (await import('./commands/secrets.ts')).secretsCommand(io),
    service: async () => (await import('./commands/service.ts')).serviceCommand(io),
    store: async () => (await import('./commands/store.ts')).storeCommand(io),
    snapshots: async () => (await import('./commands/snapshots.ts')).snapshotsCommand(io),
    teams: async () => (await import('./commands/teams.ts')).teamsCommand(io),
    token: async () => (await import('./commands/token.ts')).tokenCommand(io),
    tokens: async () => (await import('./commands/tokens.ts')).tokensCommand(io),
    template: async () => (await import('./commands/template.ts')).templateCommand(io),
    templates: async () => (await import('./commands/templates.ts')).templatesCommand(io),
    trust: async () => (await import('./commands/trust.ts')).trustCommand(io),
    usage: async () => (await import('./commands/usage.ts')).usageCommand(io),
    webhooks: async () => (await import('./commands/webhooks.ts')).webhooksCommand(io),
    db: async () => (await import('./commands/db.ts')).dbCommand(io),
  };
}

function processIo(): CommandIo {
  const { stdout, stderr, env } = process;
  for (const output of [stdout, stderr]) surviveLostReader(output);
  let interrupted: AbortSignal | undefined;
  return {
    env,
    stdout: {
      write: (text) => stdout.write(text),
      isTTY: stdout.isTTY === true,
      columns: stdout.columns ?? 80,
      color: stdout.isTTY === true && !env.NO_COLOR,
    },
    print: (line) => stdout.write(`${line}\n`),
    layout: () => findLayout(import.meta.url),
    version: typeof ISLET_VERSION === 'string' ? ISLET_VERSION : 'development',
    setExitCode: (code) => {
      process.exitCode = code;
    },
    // Handlers only for commands that take the time to be interrupted: the others end as Node ends.
    get interrupted() {
      interrupted ??= interruptible(stdout);
      return interrupted;
    },
  };
}
