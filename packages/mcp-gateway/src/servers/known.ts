import { join } from 'node:path';
import { type Static, type TSchema, Type } from 'typebox';
import { Value } from 'typebox/value';
import { GatewayError } from '../gateway-error.ts';
import type { Places, ServerCommand } from './server.ts';

/** A server that comes with the gateway: a package of npm, which needs no account and no image. */
interface KnownServer<Options extends TSchema = TSchema> {
  /** npm's name of it. */
  package: string;
  options: Options;
  args?(options: Static<Options>): string[];
  env?(options: Static<Options>, places: Places): Record<string, string>;
}

const NO_OPTIONS = Type.Object({}, { additionalProperties: false });

const known = <Options extends TSchema>(server: KnownServer<Options>) => server as unknown as KnownServer;

/** By the names that the SDK's `McpServer` has. `everything`, which it does not have, tries all that a client can do. */
const SERVERS: Readonly<Record<string, KnownServer>> = {
  everything: known({ package: '@modelcontextprotocol/server-everything', options: NO_OPTIONS }),
  filesystem: known({
    package: '@modelcontextprotocol/server-filesystem',
    options: Type.Object(
      { paths: Type.Array(Type.String({ pattern: '^/' }), { minItems: 1, maxItems: 64 }) },
      { additionalProperties: false },
    ),
    args: ({ paths }) => paths,
  }),
  memory: known({
    package: '@modelcontextprotocol/server-memory',
    options: NO_OPTIONS,
    env: (_, { home }) => ({ MEMORY_FILE_PATH: join(home, '.mcp-memory.jsonl') }),
  }),
  sequentialthinking: known({
    package: '@modelcontextprotocol/server-sequential-thinking',
    options: NO_OPTIONS,
  }),
  time: known({ package: 'time-mcp', options: NO_OPTIONS }),
};

/** The servers that come with the gateway, and the packages of npm that they are. */
export const knownServers: ReadonlyMap<string, string> = new Map(
  Object.entries(SERVERS).map(([name, server]) => [name, server.package]),
);

export function isKnown(name: string): boolean {
  return knownServers.has(name);
}

/** @throws GatewayError that names the option if it is not as the server wants it. */
export function knownServer(name: string, options: unknown, places: Places): ServerCommand {
  const server = SERVERS[name];
  if (!server || !isKnown(name)) throw notHere(name);
  if (!Value.Check(server.options, options)) {
    const [first] = Value.Errors(server.options, options);
    throw new GatewayError(
      `the options of the server "${name}" are wrong: ${first ? `${name}${first.instancePath} ${first.message}` : 'not an object'}`,
    );
  }
  return {
    name,
    command: process.execPath,
    args: [join(places.servers, name, 'bin/index.mjs'), ...(server.args?.(options) ?? [])],
    env: server.env?.(options, places) ?? {},
    cwd: places.home,
  };
}

/** What is said of a server that E2B starts from an image. */
export function notHere(name: string): GatewayError {
  const names = [...knownServers.keys()].join(', ');
  return new GatewayError(
    `the MCP server "${name}" is not available: it comes as a container image, and this gateway starts servers without images. ` +
      `Available are ${names}, and any server in a git repository, as "github/<owner>/<repository>" with a runCmd.`,
  );
}
