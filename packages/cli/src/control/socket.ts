import { chmod, mkdir, rm } from 'node:fs/promises';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import type { AuditRecord } from '@islet/sinks';
import { type Administration, AdministrationError } from './administration.ts';
import { controlRecord } from './audit.ts';

/** What a running Islet tells of itself. */
export interface InstanceStatus {
  pid: number;
  version: string;
  apiUrl: string;
  sandboxUrl: string;
  /** Errors since its start that nobody caught; each is in its log. */
  unexpectedErrors: number;
}

const METHODS = [
  'createKey',
  'listKeys',
  'revokeKey',
  'createToken',
  'listTokens',
  'revokeToken',
  'createJoinToken',
  'removeMember',
  'createTeam',
  'listTeams',
  'limitTeam',
  'databaseReport',
  'listSnapshots',
  'collectSnapshots',
  'buildShipped',
  'readShipped',
  'listWebhooks',
  'listDeliveries',
  'replayDeliveries',
  'listAudit',
  'listUsage',
  'rotateMasterKey',
] as const;
export type Method = (typeof METHODS)[number];

const BODY_LIMIT_BYTES = 64 * 1024;

export interface ControlOptions {
  path: string;
  administration: Administration;
  status: () => InstanceStatus;
  /** Told of what was done, before it is answered; absent: no one keeps it. */
  record?: (done: Omit<AuditRecord, 'id'>) => void;
}

/**
 * Lets commands of the same machine reach a running instance, whose embedded database no second process may open. Who may
 * open the socket, its owner alone, may do everything: there is no other check.
 */
export async function serveControl(options: ControlOptions): Promise<AsyncDisposable> {
  await mkdir(dirname(options.path), { recursive: true, mode: 0o700 });
  await rm(options.path, { force: true });
  const server = createServer((request, response) => {
    answer(options, request, response).catch((error: unknown) => {
      response.writeHead(error instanceof AdministrationError ? 400 : 500, {
        'content-type': 'application/json',
      });
      response.end(JSON.stringify({ message: error instanceof Error ? error.message : String(error) }));
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.path, resolve);
  });
  await chmod(options.path, 0o600);
  return {
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      await rm(options.path, { force: true });
    },
  };
}

async function answer(
  options: ControlOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const name = request.url?.slice(1) ?? '';
  const respond = (value: unknown) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(value));
  };
  if (name === 'status') return respond(options.status());
  const method = METHODS.find((known) => known === name);
  if (!method) throw new AdministrationError(`this Islet knows no "${name}"; is it an older version?`);
  const call = options.administration[method] as (body: unknown) => Promise<unknown>;
  const body: unknown = JSON.parse(await readBody(request));
  const record = (status: number) => {
    const done = controlRecord(method, body, status);
    if (done) options.record?.(done);
  };
  try {
    const value = await call(body);
    record(200);
    respond(value);
  } catch (error) {
    record(error instanceof AdministrationError ? 400 : 500);
    throw error;
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk;
    if (text.length > BODY_LIMIT_BYTES) throw new AdministrationError('the request is too large');
  }
  return text || '{}';
}

const CALL_TIMEOUT_MS = 30_000;

function callControl(path: string, name: string, body: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { socketPath: path, path: `/${name}`, method: 'POST', timeout: CALL_TIMEOUT_MS },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('error', reject);
        response.on('end', () => {
          const value: unknown = JSON.parse(text);
          if (response.statusCode === 200) return resolve(value);
          reject(new AdministrationError((value as { message: string }).message));
        });
      },
    );
    request.on('timeout', () => request.destroy(new Error(`the running Islet does not answer at ${path}`)));
    request.on('error', reject);
    request.end(JSON.stringify(body));
  });
}

/** Administration through the instance that holds the database. */
export function administrationThrough(path: string): Administration {
  const call = <M extends Method>(method: M) =>
    ((body: unknown) => callControl(path, method, body)) as Administration[M];
  return {
    createKey: call('createKey'),
    listKeys: call('listKeys'),
    revokeKey: call('revokeKey'),
    createToken: call('createToken'),
    listTokens: call('listTokens'),
    revokeToken: call('revokeToken'),
    createJoinToken: call('createJoinToken'),
    removeMember: call('removeMember'),
    createTeam: call('createTeam'),
    listTeams: call('listTeams'),
    limitTeam: call('limitTeam'),
    databaseReport: call('databaseReport'),
    listSnapshots: call('listSnapshots'),
    collectSnapshots: call('collectSnapshots'),
    buildShipped: call('buildShipped'),
    readShipped: call('readShipped'),
    listWebhooks: call('listWebhooks'),
    listDeliveries: call('listDeliveries'),
    replayDeliveries: call('replayDeliveries'),
    listAudit: call('listAudit'),
    listUsage: call('listUsage'),
    rotateMasterKey: call('rotateMasterKey'),
  };
}

/** The status of the instance behind a socket, or undefined if none listens. */
export async function readStatus(path: string): Promise<InstanceStatus | undefined> {
  try {
    return (await callControl(path, 'status', {})) as InstanceStatus;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return undefined;
    throw error;
  }
}
