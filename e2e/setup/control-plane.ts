import { type HttpAnswer, send } from './http.ts';
import { type InstanceAccess, islet } from './instance.ts';

/** What the answer to an error holds. */
export interface ErrorBody {
  code: number;
  message: string;
}

/** The answer to create and connect. */
export interface SandboxBody {
  templateID: string;
  sandboxID: string;
  clientID: string;
  envdVersion: string;
  alias?: string;
  envdAccessToken?: string;
  trafficAccessToken: string | null;
  domain: string | null;
}

/** A row of a list, and the part of the answer to get that the two share. */
export interface ListedBody {
  sandboxID: string;
  templateID: string;
  startedAt: string;
  endAt: string;
  state: string;
  diskSizeMB: number;
  metadata?: Record<string, string>;
}

export interface CallOptions {
  /** An API key in place of the client's own; null sends none. */
  key?: string | null;
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is, in place of `body`. */
  raw?: string | Buffer;
  headers?: Record<string, string>;
}

/** Raw calls to the API as one team, and the sandboxes made through it. */
export class ControlPlane implements AsyncDisposable {
  readonly access: InstanceAccess;
  readonly key: string;
  readonly #made = new Set<string>();

  constructor(access: InstanceAccess, key = access.apiKey) {
    this.access = access;
    this.key = key;
  }

  async call<T = ErrorBody>(
    method: string,
    path: string,
    { key = this.key, body, raw, headers = {} }: CallOptions = {},
  ): Promise<HttpAnswer<T>> {
    const content = raw ?? (body === undefined ? undefined : JSON.stringify(body));
    const answer = await send<T>({
      method,
      url: this.access.apiUrl + path,
      headers: {
        ...(key !== null && { 'X-API-Key': key }),
        ...(content !== undefined && {
          'Content-Type': 'application/json',
          'Content-Length': Buffer.byteLength(content),
        }),
        ...headers,
      },
      ...(content !== undefined && { body: content }),
    });
    const { sandboxID } = (answer.body ?? {}) as { sandboxID?: unknown };
    if (answer.status === 201 && typeof sandboxID === 'string') this.#made.add(sandboxID);
    return answer;
  }

  /** A new sandbox, which lives for five minutes unless told otherwise. @throws Error with the answer if it is not 201. */
  async create(body: object = {}, root: '/sandboxes' | '/v2/sandboxes' = '/sandboxes'): Promise<SandboxBody> {
    const answer = await this.call<SandboxBody>('POST', root, {
      body: { templateID: 'base', timeout: 300, ...body },
    });
    if (answer.status !== 201) throw new Error(`create answered ${answer.status}: ${answer.text}`);
    return answer.body;
  }

  /** Ends a sandbox; one that is gone already is no error. */
  async kill(sandboxId: string): Promise<void> {
    const { status, text } = await this.call('DELETE', `/sandboxes/${sandboxId}`);
    if (status !== 204 && status !== 404) throw new Error(`delete answered ${status}: ${text}`);
    this.#made.delete(sandboxId);
  }

  /** What get says of a sandbox, whether it is there or not. */
  get(sandboxId: string): Promise<HttpAnswer<ListedBody>> {
    return this.call('GET', `/sandboxes/${sandboxId}`);
  }

  /** Unix milliseconds of a sandbox's end. @throws Error if it is not there. */
  async endOf(sandboxId: string): Promise<number> {
    const { status, body, text } = await this.get(sandboxId);
    if (status !== 200) throw new Error(`get answered ${status}: ${text}`);
    return Date.parse(body.endAt);
  }

  /** A request to a port of a sandbox through the edge, routed by headers. */
  edge(
    sandboxId: string,
    port: number,
    path: string,
    { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
  ): Promise<HttpAnswer> {
    return send({
      method,
      url: this.access.sandboxUrl + path,
      headers: { 'E2b-Sandbox-Id': sandboxId, 'E2b-Sandbox-Port': String(port), ...headers },
    });
  }

  /** Ends every sandbox that this client made and did not end. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#made].map((id) => this.kill(id)));
  }
}

/** A new team with a key of its own, made by the command line beside the running Islet. @param limits by their flags */
export async function newTeam(
  access: InstanceAccess,
  name: string,
  limits: Record<string, number> = {},
): Promise<ControlPlane & { team: { id: string; slug: string } }> {
  const where = ['--json', '--data-dir', access.dataDir];
  const team = JSON.parse(await islet('teams', 'create', '--name', name, ...where)) as {
    id: string;
    slug: string;
  };
  const changes = Object.entries(limits).flatMap(([limit, value]) => [`--${limit}`, String(value)]);
  if (changes.length > 0) await islet('teams', 'limit', team.slug, ...changes, ...where);
  const made = JSON.parse(await islet('keys', 'create', '--team', team.slug, ...where)) as { key: string };
  return Object.assign(new ControlPlane(access, made.key), { team });
}
