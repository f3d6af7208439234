import { GatewayError } from './gateway-error.ts';
import { isKnown, knownServer, notHere } from './servers/known.ts';
import { isRepository, type Repository, repository } from './servers/repository.ts';
import type { Places, ServerCommand } from './servers/server.ts';

/** More at once would not fit into the memory of a common sandbox. */
const MOST_SERVERS = 32;

/** What a client's `mcp` asks for. */
export interface Wanted {
  servers: ServerCommand[];
  /** What has to be there before they start. */
  repositories: Repository[];
}

/**
 * Reads what the SDK hands over of `Sandbox.create({ mcp })`: an object of servers by name, with their options.
 * @throws GatewayError that names what is wrong, or which server cannot be had.
 */
export function parseConfig(text: string, places: Places): Wanted {
  const entries = Object.entries(parseObject(text));
  if (entries.length === 0) throw new GatewayError('mcp names no server');
  if (entries.length > MOST_SERVERS) {
    throw new GatewayError(`mcp names ${entries.length} servers: at most ${MOST_SERVERS} run at once`);
  }
  const wanted: Wanted = { servers: [], repositories: [] };
  for (const [name, options] of entries) {
    if (isKnown(name)) wanted.servers.push(knownServer(name, options, places));
    else if (isRepository(name)) {
      const found = repository(name, options, places);
      wanted.repositories.push(found);
      wanted.servers.push(found.server);
    } else throw notHere(name);
  }
  return wanted;
}

function parseObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new GatewayError(`--config is not JSON: ${(error as Error).message}`, { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new GatewayError('--config is no object of servers by name');
  }
  return value as Record<string, unknown>;
}
