import { Readable } from 'node:stream';
import { authorizationMissing, foreignVolumeToken, volumeNotFound, volumesProto } from '@islet/contracts';
import { findTeam, findVolume } from '@islet/db';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { access, assertStanding } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { drain } from '../http/drain.ts';
import { toIsletError } from '../http/errors.ts';
import type { VolumesClient } from '../nodes/link.ts';
import type { Node, NodeCallOptions } from '../nodes/node.ts';
import { NODE_CALL_TIMEOUT_MS } from '../nodes/node-call.ts';
import { NoContent } from '../sandboxes/shapes.ts';
import {
  AttributesBody,
  ContentError,
  EntryStat,
  ListQuery,
  MakeQuery,
  PathQuery,
  VolumeParams,
} from './shapes.ts';

const { EntryType } = volumesProto;

const errors = { '4xx': ContentError, '5xx': ContentError };
const params = VolumeParams;
const open = { access: access.open };
/** As long as clients give a transfer. */
const UPLOAD_MS = 60 * 60 * 1000;
/** Transfers take as long as the client does. */
const WITHOUT_DEADLINE_MS = 0;
/** Where a request keeps the node of its volume. */
const NODE = 'volumeNode';

/** The content of volumes, for bearers of a volume's token. Its errors have a shape of their own. */
export function addVolumeContentRoutes(app: ApiApp, context: ApiContext): void {
  if (context.volumeSizeMb === undefined) return;
  app.register(async (plain) => {
    const scope = plain as unknown as ApiApp;
    useContentRules(scope, context);
    addEntryRoutes(scope);
    addDirectoryRoutes(scope);
    addFileRoutes(scope);
  });
}

function useContentRules(scope: ApiApp, context: ApiContext): void {
  scope.decorateRequest(NODE);
  scope.addHook('onRequest', (request) => authorize(request, context));
  scope.setErrorHandler(async (error, request, reply) => {
    const known = toIsletError(error);
    if (known.status >= 500 && known.status !== 507) {
      context.logger.error(
        { err: error, method: request.method, route: request.routeOptions.url },
        'request failed',
      );
    }
    await drain(request.raw);
    return reply.code(known.status).send({ code: codeOf(known.status), message: known.message });
  });
}

/** The token names one volume, which must still be its team's. */
async function authorize(request: FastifyRequest, { db, nodes, volumeTokens }: ApiContext): Promise<void> {
  const [, token] = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
  if (!token) throw authorizationMissing();
  const { teamId, volumeId } = await volumeTokens.verify(token);
  const { volumeID } = request.params as { volumeID: string };
  if (volumeID.toLowerCase() !== volumeId) throw foreignVolumeToken();
  const team = await findTeam(db, teamId);
  const volume = team && (await findVolume(db, teamId, volumeId));
  if (!volume) throw volumeNotFound();
  assertStanding(team, { schemes: [], blockedMay: request.method === 'GET' });
  request.setDecorator(NODE, nodes.recorded(volume.nodeId));
}

/** Calls the node that has the request's volume. */
function ask<T>(
  request: FastifyRequest,
  use: (volumes: VolumesClient, options: NodeCallOptions) => Promise<T>,
  timeoutMs = NODE_CALL_TIMEOUT_MS,
): Promise<T> {
  const node = request.getDecorator<Node>(NODE);
  return node.call(timeoutMs, ({ volumes }, options) => use(volumes, options));
}

function addEntryRoutes(scope: ApiApp): void {
  const url = '/volumecontent/:volumeID/path';

  scope.get(
    url,
    { config: open, schema: { params, querystring: PathQuery, response: { 200: EntryStat, ...errors } } },
    async (request) => {
      const target = targetOf(request);
      return present(await ask(request, (volumes, options) => volumes.getEntry(target, options)));
    },
  );

  scope.patch(
    url,
    {
      config: open,
      schema: {
        params,
        querystring: PathQuery,
        body: AttributesBody,
        response: { 200: EntryStat, ...errors },
      },
    },
    async (request) => {
      const target = { ...targetOf(request), attributes: request.body };
      return present(await ask(request, (volumes, options) => volumes.setAttributes(target, options)));
    },
  );

  scope.delete(
    url,
    { config: open, schema: { params, querystring: PathQuery, response: { 204: NoContent, ...errors } } },
    async (request, reply) => {
      await ask(request, (volumes, options) => volumes.removeEntry(targetOf(request), options));
      return reply.code(204).send();
    },
  );
}

function addDirectoryRoutes(scope: ApiApp): void {
  const url = '/volumecontent/:volumeID/dir';

  scope.get(
    url,
    {
      config: open,
      schema: { params, querystring: ListQuery, response: { 200: Type.Array(EntryStat), ...errors } },
    },
    async (request) => {
      const target = { ...targetOf(request), depth: request.query.depth };
      const { entries } = await ask(request, (volumes, options) => volumes.listDirectory(target, options));
      return entries.map(presentEntry);
    },
  );

  scope.post(
    url,
    { config: open, schema: { params, querystring: MakeQuery, response: { 201: EntryStat, ...errors } } },
    async (request, reply) => {
      const { uid, gid, mode, force = false } = request.query;
      const target = { ...targetOf(request), attributes: defined({ uid, gid, mode }), force };
      const made = await ask(request, (volumes, options) => volumes.makeDirectory(target, options));
      return reply.code(201).send(present(made));
    },
  );
}

function addFileRoutes(scope: ApiApp): void {
  const url = '/volumecontent/:volumeID/file';

  scope.get(
    url,
    {
      config: open,
      // The file's bytes, as they are.
      schema: { params, querystring: PathQuery, response: { 200: Type.Unknown(), ...errors } },
    },
    async (request, reply) => sendFile(reply, request),
  );

  scope.register(async (plain) => {
    const upload = plain as unknown as ApiApp;
    upload.removeAllContentTypeParsers();
    // Handed on as it arrives.
    upload.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
    upload.put(
      url,
      {
        config: { ...open, bodyTimeoutMs: UPLOAD_MS },
        schema: { params, querystring: MakeQuery, response: { 201: EntryStat, ...errors } },
      },
      async (request, reply) => {
        const { uid, gid, mode, force } = request.query;
        const start = {
          ...targetOf(request),
          attributes: defined({ uid, gid, mode }),
          overwrite: force ?? true,
          makeParents: force ?? false,
        };
        const messages = upMessages(
          start,
          request.body instanceof Readable ? request.body : Readable.from([]),
        );
        const written = await ask(
          request,
          (volumes, options) => volumes.writeFile(messages, options),
          WITHOUT_DEADLINE_MS,
        );
        return reply.code(201).send(present(written));
      },
    );
  });
}

async function* upMessages(start: object, body: Readable) {
  yield { message: { case: 'start' as const, value: start as volumesProto.WriteFileRequest_Start } };
  // Kept open if the node refuses the rest: the client still has to be told.
  for await (const value of body.iterator({ destroyOnReturn: false })) {
    yield { message: { case: 'chunk' as const, value } };
  }
}

/** Waits for the file's first message, so that what is wrong with it still has a status. */
async function sendFile(reply: FastifyReply, request: FastifyRequest): Promise<FastifyReply> {
  const { answers, first } = await ask(
    request,
    async (volumes, options) => {
      const opened = volumes.readFile(targetOf(request), options)[Symbol.asyncIterator]();
      return { answers: opened, first: await opened.next() };
    },
    WITHOUT_DEADLINE_MS,
  );
  if (first.done || first.value.message.case !== 'entry') throw new Error('the node sent no entry of a file');
  const { size } = first.value.message.value;
  const content = Readable.from(chunksOf(answers), { objectMode: false });
  return reply.header('Content-Length', size).type('application/octet-stream').send(content);
}

async function* chunksOf(answers: AsyncIterator<volumesProto.ReadFileResponse>): AsyncGenerator<Uint8Array> {
  try {
    for (let next = await answers.next(); !next.done; next = await answers.next()) {
      if (next.value.message.case === 'chunk') yield next.value.message.value;
    }
  } finally {
    await answers.return?.();
  }
}

interface TargetRequest {
  params: unknown;
  query: unknown;
}

function targetOf({ params, query }: TargetRequest): { volumeId: string; path: string } {
  const { volumeID } = params as Static<typeof VolumeParams>;
  return { volumeId: volumeID.toLowerCase(), path: (query as Static<typeof PathQuery>).path };
}

/** Without the fields that are undefined: a message field that is there has a value. */
function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const set = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(set) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

function present({ entry }: { entry?: volumesProto.Entry | undefined }): Static<typeof EntryStat> {
  if (!entry) throw new Error('the node answered without an entry');
  return presentEntry(entry);
}

function presentEntry(entry: volumesProto.Entry): Static<typeof EntryStat> {
  const { name, path, size, mode, uid, gid, target } = entry;
  return {
    name,
    type: TYPES[entry.type],
    path,
    size,
    mode,
    uid,
    gid,
    atime: new Date(entry.accessedAtMs).toISOString(),
    mtime: new Date(entry.modifiedAtMs).toISOString(),
    ctime: new Date(entry.changedAtMs).toISOString(),
    ...(target !== undefined && { target }),
  };
}

const TYPES: Record<volumesProto.EntryType, Static<typeof EntryStat>['type']> = {
  [EntryType.UNSPECIFIED]: 'unknown',
  [EntryType.FILE]: 'file',
  [EntryType.DIRECTORY]: 'directory',
  [EntryType.SYMLINK]: 'symlink',
};

const CODES: Record<number, string> = {
  400: 'invalid_request',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not_found',
  409: 'conflict',
  507: 'no_space',
};

function codeOf(status: number): string {
  return CODES[status] ?? (status < 500 ? 'invalid_request' : 'internal_error');
}
