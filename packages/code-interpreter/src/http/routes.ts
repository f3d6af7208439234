import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Context } from '../contexts/context.ts';
import type { Contexts } from '../contexts/contexts.ts';
import { ContextNotFoundError, LanguageNotFoundError, TooManyError } from '../contexts/errors.ts';
import { HostStartError } from '../hosts/host.ts';
import { ExecutionStream } from './execution-stream.ts';
import { RequestError, readCreateContext, readExecute } from './request.ts';

/** Of a request of this server to itself, see `rehearse` in `server.ts`. */
export const REHEARSAL = 'islet-rehearsal';

const CORS = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Methods': '*',
  'Access-Control-Allow-Headers': '*',
};

/** Answers one request; what fails is an answer, too. */
export async function handle(
  contexts: Contexts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  for (const [name, value] of Object.entries(CORS)) response.setHeader(name, value);
  try {
    await route(contexts, request, response);
  } catch (error) {
    if (response.headersSent) response.destroy();
    else refuse(request, response, error as Error);
  }
}

async function route(contexts: Contexts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname } = new URL(request.url ?? '/', 'http://server');
  const asked = `${request.method} ${pathname}`;
  if (request.method === 'OPTIONS') return void response.writeHead(200).end();
  if (asked === 'GET /health') return json(response, 'OK');
  if (asked === 'POST /execute') return await execute(contexts, request, response);
  if (asked === 'GET /contexts') return json(response, contexts.list().map(shown));
  if (asked === 'POST /contexts') {
    const { language, cwd } = await readCreateContext(request);
    return json(response, shown(await contexts.create(language, cwd)));
  }
  const [, id, action = ''] = pathname.match(/^\/contexts\/([^/]+)(\/restart)?$/) ?? [];
  if (id !== undefined && `${request.method}${action}` === 'DELETE') {
    await contexts.remove(decoded(id));
    return json(response, null);
  }
  if (id !== undefined && `${request.method}${action}` === 'POST/restart') {
    await contexts.get(decoded(id)).restart();
    return json(response, null);
  }
  const known = id !== undefined || ['/health', '/execute', '/contexts'].includes(pathname);
  throw new RequestError(known ? 405 : 404, known ? 'Method Not Allowed' : 'Not Found');
}

async function execute(
  contexts: Contexts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { code, contextId, language, env } = await readExecute(request);
  const context =
    contextId === undefined ? await contexts.default(language ?? 'python') : contexts.get(contextId);
  context.admit();
  const token = request.headers['x-access-token'];
  const stream = new ExecutionStream(response);
  try {
    const accessToken = typeof token === 'string' ? token : undefined;
    await context.execute({
      code,
      env,
      accessToken,
      isRehearsal: request.headers[REHEARSAL] !== undefined,
      emit: (output) => stream.write(output),
      gone: stream.gone,
    });
  } catch (error) {
    if (!stream.gone.aborted) throw error;
  }
  stream.end();
}

function refuse(request: IncomingMessage, response: ServerResponse, error: Error): void {
  // What was not read of the body would be taken for the next request.
  if (!request.complete) response.setHeader('Connection', 'close');
  if (error instanceof RequestError && error.status !== 400) {
    const loc = error.field === undefined ? ['body'] : ['body', ...error.field.split('.')];
    const detail = error.status === 422 ? [{ loc, msg: error.message, type: 'value_error' }] : error.message;
    json(response, { detail }, error.status);
  } else {
    response.writeHead(statusOf(error), { 'Content-Type': 'text/plain; charset=utf-8' }).end(error.message);
  }
}

function statusOf(error: Error): number {
  if (error instanceof RequestError) return error.status;
  if (error instanceof ContextNotFoundError) return 404;
  if (error instanceof TooManyError) return 429;
  if (!(error instanceof HostStartError || error instanceof LanguageNotFoundError)) console.error(error);
  return 500;
}

function shown({ id, language, cwd }: Context): { id: string; language: string; cwd: string } {
  return { id, language, cwd };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function json(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
}
