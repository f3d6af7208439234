import { realpath } from 'node:fs/promises';
import { LOCAL_DEV } from '@islet/db';
import { controlSocket } from '../control/open.ts';
import { readStatus } from '../control/socket.ts';
import { instanceAt } from '../host/instance.ts';
import { readLocalCredentials } from '../host/local-credentials.ts';
import { OPTIONS, type OptionName } from '../options/options.ts';
import { type OptionSources, readOption, requireOption } from '../options/spec.ts';

/** What says which API is meant, and as whom it is called. */
export const CONNECTION_OPTIONS: readonly OptionName[] = ['apiUrl', 'apiKey', 'dataDir'];

/** How a command reaches an API, as one team. */
export interface ApiConnection {
  apiUrl: string;
  apiKey: string;
}

/**
 * The API that the user names, else the one of the Islet that runs here; with the user's key. Without one the Islet that runs
 * here gets its own; any other API gets the one that everybody knows, since no secret may go there.
 * @throws Error if none is named and none runs
 */
export async function findApi(sources: OptionSources): Promise<ApiConnection> {
  const apiKey = readOption(OPTIONS.apiKey, sources);
  const named = readOption(OPTIONS.apiUrl, sources);
  if (named !== undefined) return { apiUrl: named.replace(/\/+$/, ''), apiKey: apiKey ?? LOCAL_DEV.apiKey };
  const dataDir = requireOption(OPTIONS.dataDir, sources);
  const real = await realpath(dataDir).catch(() => undefined);
  const status = real && (await readStatus(controlSocket(instanceAt(real))));
  if (!status) {
    throw new Error(
      `no Islet runs with the data directory ${dataDir}: start one with ./islet up, or name an API with --api-url`,
    );
  }
  const own = apiKey ?? (await readLocalCredentials(real)).apiKey;
  return { apiUrl: status.apiUrl, apiKey: own ?? LOCAL_DEV.apiKey };
}

/** Calls the API. @throws Error with the API's own words if it refuses. */
export async function callApi<T>(
  { apiUrl, apiKey }: ApiConnection,
  method: string,
  path: string,
): Promise<T> {
  let response: Response;
  try {
    response = await fetch(apiUrl + path, { method, headers: { 'X-API-Key': apiKey } });
  } catch (cause) {
    throw new Error(`no API answers at ${apiUrl}`, { cause });
  }
  const text = await response.text();
  if (response.ok) return (text === '' ? undefined : JSON.parse(text)) as T;
  throw new Error(`the API answered ${response.status}: ${messageOf(text)}`);
}

function messageOf(text: string): string {
  try {
    return (JSON.parse(text) as { message: string }).message;
  } catch {
    return text.slice(0, 200);
  }
}
