import type { InstanceAccess } from '../../e2e/setup/instance.ts';
import { timed } from '../pace/timed.ts';

/** What a request takes. */
export type ApiAccess = Pick<InstanceAccess, 'apiUrl' | 'apiKey'>;

export interface CreatedSandbox {
  id: string;
  /** From the request to the answer. */
  ms: number;
}

/** POST /sandboxes. @throws Error if it does not answer 201. */
export async function createSandbox(access: ApiAccess, templateID = 'base'): Promise<CreatedSandbox> {
  let id = '';
  const ms = await timed(async () => {
    const response = await fetch(`${access.apiUrl}/sandboxes`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-API-Key': access.apiKey },
      body: JSON.stringify({ templateID, timeout: 3600 }),
    });
    const text = await response.text();
    if (response.status !== 201) throw new Error(`POST /sandboxes answered ${response.status}: ${text}`);
    id = (JSON.parse(text) as { sandboxID: string }).sandboxID;
  });
  return { id, ms };
}

/** DELETE /sandboxes/{id}. @returns milliseconds. @throws Error if it does not answer 204. */
export function killSandbox(access: ApiAccess, id: string): Promise<number> {
  return timed(async () => {
    const response = await fetch(`${access.apiUrl}/sandboxes/${id}`, {
      method: 'DELETE',
      headers: { 'X-API-Key': access.apiKey },
    });
    const text = await response.text();
    if (response.status !== 204)
      throw new Error(`DELETE /sandboxes/${id} answered ${response.status}: ${text}`);
  });
}

/** POST /sandboxes/{id}/pause. @returns milliseconds. @throws Error if it does not answer 204. */
export function pauseSandbox(access: ApiAccess, id: string): Promise<number> {
  return timed(() => post(access, `/sandboxes/${id}/pause`, {}, 204));
}

/** POST /sandboxes/{id}/connect of a paused one. @returns milliseconds. @throws Error if it does not answer 201. */
export function resumeSandbox(access: ApiAccess, id: string): Promise<number> {
  return timed(() => post(access, `/sandboxes/${id}/connect`, { timeout: 600 }, 201));
}

/** POST /sandboxes/{id}/snapshots. @returns the snapshot's id, to create from. @throws Error if it does not answer 201. */
export async function snapshotSandbox(access: ApiAccess, id: string): Promise<string> {
  const text = await post(access, `/sandboxes/${id}/snapshots`, {}, 201);
  return (JSON.parse(text) as { snapshotID: string }).snapshotID;
}

/** DELETE /templates/{id}. @throws Error if it does not answer 204. */
export async function deleteSnapshot(access: ApiAccess, snapshotId: string): Promise<void> {
  const response = await fetch(`${access.apiUrl}/templates/${snapshotId.replace(/:.*/, '')}`, {
    method: 'DELETE',
    headers: { 'X-API-Key': access.apiKey },
  });
  if (response.status !== 204) throw new Error(`DELETE ${response.url} answered ${response.status}`);
}

/** POST /sandboxes/{id}/fork. @throws Error if it does not answer 201, or a fork of it failed. */
export async function forkSandbox(
  access: ApiAccess,
  id: string,
  count: number,
): Promise<{ ids: string[]; ms: number }> {
  let text = '';
  const ms = await timed(async () => {
    text = await post(access, `/sandboxes/${id}/fork`, { count, timeout: 600 }, 201);
  });
  const results = JSON.parse(text) as { sandbox?: { sandboxID: string }; error?: { message: string } }[];
  const ids = results.map(({ sandbox, error }) => {
    if (!sandbox) throw new Error(`a fork of ${id} failed: ${error?.message}`);
    return sandbox.sandboxID;
  });
  return { ids, ms };
}

async function post(
  { apiUrl, apiKey }: ApiAccess,
  path: string,
  body: object,
  status: number,
): Promise<string> {
  const response = await fetch(apiUrl + path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-API-Key': apiKey },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (response.status !== status) throw new Error(`POST ${path} answered ${response.status}: ${text}`);
  return text;
}

/** The token that envd asks bare clients for. @throws Error if the sandbox has none. */
export async function envdToken(access: ApiAccess, id: string): Promise<string> {
  const response = await fetch(`${access.apiUrl}/sandboxes/${id}`, {
    headers: { 'X-API-Key': access.apiKey },
  });
  const { envdAccessToken } = (await response.json()) as { envdAccessToken?: string };
  if (envdAccessToken === undefined) throw new Error(`GET /sandboxes/${id} gives no envdAccessToken`);
  return envdAccessToken;
}
