// ClickHouse's engine behind as much of its HTTP interface as its client uses: front.ts <data> <port> [<password>]
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { createGunzip, gzipSync } from 'node:zlib';
import { Session } from 'chdb';

const [folder = '', port = '0', password = ''] = process.argv.slice(2);

/** What the parent may ask for: to apply the next insert and never say so. */
export interface SwallowAnswer {
  kind: 'swallow';
}

/** An insert was applied, and nobody was told. */
export interface Swallowed {
  kind: 'swallowed';
}

/** Parameters of the interface that are no settings of the engine. */
const NO_SETTINGS = new Set([
  ...['query', 'database', 'query_id', 'session_id', 'default_format', 'enable_http_compression'],
  'wait_end_of_query',
]);

/** Statuses of the exceptions that have one of their own. */
const STATUSES: Record<string, number> = { 516: 403, 497: 403, 60: 404, 81: 404, 62: 400, 27: 400, 25: 400 };

const session = new Session(folder);
let swallowNext = false;
process.on('message', () => {
  swallowNext = true;
});

/** The engine has one session: one request after the other. */
let turn: Promise<unknown> = Promise.resolve();
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const mine = turn.then(work);
  turn = mine.catch(() => undefined);
  return mine;
}

const quoted = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

async function run(search: URLSearchParams, body: string): Promise<Uint8Array> {
  const query = search.get('query');
  const settings = [...search].filter(([name]) => !NO_SETTINGS.has(name) && !name.startsWith('param_'));
  const params = [...search].filter(([name]) => name.startsWith('param_'));
  await session.queryAsync(`USE \`${search.get('database') ?? 'default'}\``);
  try {
    for (const [name, value] of [...settings, ...params]) {
      await session.queryAsync(`SET ${name} = ${quoted(value)}`);
    }
    const statement = query === null ? body : `${query}\n${body}`;
    const format = search.get('default_format') ?? 'TabSeparated';
    return (await session.queryAsync(statement, { format })).bytes();
  } finally {
    for (const [name] of settings) await session.queryAsync(`SET ${name} = DEFAULT`);
  }
}

function isAllowed({ headers }: IncomingMessage): boolean {
  const [, basic = ''] = headers.authorization?.split('Basic ') ?? [];
  const given = Buffer.from(basic, 'base64').toString().split(':').slice(1).join(':');
  return given === password;
}

function refuse(response: ServerResponse, text: string): void {
  const [, code = '1002'] = /Code: (\d+)/.exec(text) ?? [];
  response.writeHead(STATUSES[code] ?? 500, { 'x-clickhouse-exception-code': code });
  response.end(text);
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams: search } = new URL(request.url ?? '/', 'http://front');
  if (pathname === '/ping') {
    response.end('Ok.\n');
    return;
  }
  const stream = request.headers['content-encoding'] === 'gzip' ? request.pipe(createGunzip()) : request;
  const body = (await buffer(stream)).toString();
  if (!isAllowed(request)) {
    refuse(response, 'Code: 516. DB::Exception: default: Authentication failed. (AUTHENTICATION_FAILED)');
    return;
  }
  const result = await inTurn(() => run(search, body));
  if (swallowNext && /^\s*INSERT/i.test(search.get('query') ?? body)) {
    swallowNext = false;
    process.send?.({ kind: 'swallowed' } satisfies Swallowed);
    return;
  }
  const gzip = search.get('enable_http_compression') === '1';
  response.writeHead(200, { 'x-clickhouse-summary': '{}', ...(gzip && { 'content-encoding': 'gzip' }) });
  response.end(gzip ? gzipSync(result) : result);
}

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) =>
    refuse(response, error instanceof Error ? error.message : String(error)),
  );
});
server.listen(Number(port), '127.0.0.1', () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
// Whoever started it has ended.
process.on('disconnect', () => process.exit());
