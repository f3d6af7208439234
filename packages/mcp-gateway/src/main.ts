import { parseArgs } from 'node:util';
import { runDaemon } from './daemon.ts';
import { GatewayError } from './gateway-error.ts';
import { isKnown, knownServers, notHere } from './servers/known.ts';
import { start } from './start.ts';

const HELP = `Servers of the Model Context Protocol behind one address of the sandbox, port 50005, path /mcp

  mcp-gateway --config <json>   start the gateway: an object of servers by name, with their options;
                                the token that clients bear is GATEWAY_ACCESS_TOKEN
  mcp-gateway pull <name>…      check, while a template is built, that servers are there
  mcp-gateway list              the servers that come with it, and the packages of npm they are
`;

async function run(args: string[], program: string): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { config: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  const [command, ...names] = positionals;
  if (values.help) process.stdout.write(HELP);
  else if (values.config !== undefined) {
    await start(values.config, process.env.GATEWAY_ACCESS_TOKEN, program);
  } else if (command === 'serve') await runDaemon();
  else if (command === 'pull') pull(names);
  else if (command === 'list') list();
  else throw new GatewayError(`say what to do:\n\n${HELP}`);
}

/** `addMcpServer` of the SDK's templates: nothing is left to be fetched of what comes with the gateway. */
function pull(names: string[]): void {
  for (const name of names) {
    if (!isKnown(name)) throw notHere(name);
    process.stdout.write(`${name} comes with the gateway: ${knownServers.get(name)}\n`);
  }
}

function list(): void {
  for (const [name, npm] of knownServers) process.stdout.write(`${name}\t${npm}\n`);
}

const [, program, ...args] = process.argv;
if (program === undefined) throw new TypeError('a program has a path');
run(args, program).catch((error: unknown) => {
  const known =
    error instanceof GatewayError || (error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE');
  process.stderr.write(`mcp-gateway: ${known ? (error as Error).message : (error as Error).stack}\n`);
  process.exit(1);
});
