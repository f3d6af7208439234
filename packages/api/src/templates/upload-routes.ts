import type { IncomingMessage } from 'node:http';
import { ArchiveError, InspectorBusyError, UPLOAD_ROUTE } from '@islet/artifacts';
import {
  archiveRefused,
  archiveTooLarge,
  expiredUpload,
  IsletError,
  inspectorBusy,
  invalidFilesHash,
  teamNotFound,
  templateNotFound,
  unsignedUpload,
  uploadBrokeOff,
  uploadWithoutLength,
} from '@islet/contracts';
import { findTeam } from '@islet/db';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { access, actingTeam } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { ErrorShape } from '../sandboxes/shapes.ts';
import { ownTemplate } from './read-routes.ts';
import { UploadQuota } from './upload-quota.ts';

const FILES_HASH = /^[0-9a-f]{64}$/;
/** How long an upload address is good for. */
const ADDRESS_MS = 30 * 60_000;
/** Longest time for one upload to arrive: the wait of the SDKs themselves. */
const UPLOAD_MS = 3_600_000;
const MIB = 1024 * 1024;

const errors = { '4xx': ErrorShape };

/** Where clients learn how to hand over the files of COPY steps. */
export function addUploadRoutes(app: ApiApp, context: ApiContext): void {
  const { artifacts, authenticator, clock, uploads } = context;

  app.get(
    '/templates/:templateID/files/:hash',
    {
      config: { access: access.teamOrToken },
      schema: {
        params: Type.Object({ templateID: Type.String(), hash: Type.String() }),
        response: { 201: Type.Object({ present: Type.Boolean(), url: Type.String() }), ...errors },
      },
    },
    async (request, reply) => {
      const { templateID, hash } = request.params;
      if (!FILES_HASH.test(hash)) throw invalidFilesHash();
      const team = await actingTeam(request, authenticator);
      await ownTemplate(context, team, templateID).catch((error: unknown) => {
        // Whether another team has such a template is nobody's business here.
        const isForeign = error instanceof IsletError && error.status === 403;
        throw isForeign ? templateNotFound(templateID) : error;
      });
      const key = { teamId: team.id, hash };
      const grant = {
        ...key,
        maxBytes: team.limits.maxDiskSizeMb * MIB,
        expiresAtMs: clock.now() + ADDRESS_MS,
      };
      const [present, url] = await Promise.all([
        artifacts.has(key),
        artifacts.sign(grant, originOf(request)),
      ]);
      return reply.code(201).send({ present, url });
    },
  );

  if (!uploads) return;
  const { signatures, inspector } = uploads;
  const quota = new UploadQuota(artifacts);
  void app.register(async (scope) => {
    // The body goes to disk as it comes: nobody parses it, and no limit of other bodies holds.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
    scope.put(
      UPLOAD_ROUTE,
      {
        config: { access: access.open, bodyTimeoutMs: UPLOAD_MS },
        bodyLimit: Number.MAX_SAFE_INTEGER,
        schema: {
          summary: 'Takes the archive of a COPY step, at an address signed for it',
          params: Type.Object({ teamID: Type.String(), hash: Type.String() }),
          querystring: Type.Object({
            maxBytes: Type.Integer(),
            expiresAtMs: Type.Integer(),
            signature: Type.String({ maxLength: 128 }),
          }),
          response: { 200: Type.Object({ bytes: Type.Integer() }), ...errors },
        },
      },
      async (request) => {
        const { teamID: teamId, hash } = request.params as { teamID: string; hash: string };
        const { maxBytes, expiresAtMs, signature } = request.query as {
          maxBytes: number;
          expiresAtMs: number;
          signature: string;
        };
        if (!signatures.matches({ teamId, hash, maxBytes, expiresAtMs, signature })) {
          throw unsignedUpload();
        }
        if (expiresAtMs < clock.now()) throw expiredUpload();
        const length = declaredLength(request, maxBytes);
        const team = await findTeam(context.db, teamId);
        if (!team) throw teamNotFound();
        using _room = await quota.take(team, length);
        const body = exactly(request.raw, length);
        try {
          await artifacts.put({ teamId, hash }, body, (file) =>
            inspector.inspect({ teamId, file, maxBytes }),
          );
        } catch (error) {
          if (error instanceof ArchiveError) throw archiveRefused(error);
          if (error instanceof InspectorBusyError) throw inspectorBusy(error);
          throw error;
        }
        return { bytes: length };
      },
    );
  });
}

/** The address under which the client reached this API. */
function originOf(request: FastifyRequest): string {
  return `${request.protocol}://${request.host}`;
}

/** @throws IsletError 411 if a request does not say how long it is, 413 if that is too long */
function declaredLength(request: FastifyRequest, maxBytes: number): number {
  const length = request.headers['content-length'];
  if (length === undefined) {
    throw uploadWithoutLength();
  }
  const bytes = Number(length);
  if (bytes > maxBytes) {
    throw archiveTooLarge(Math.floor(maxBytes / MIB));
  }
  return bytes;
}

/** A request's body. @throws IsletError 400 if it broke off. */
async function* exactly(request: IncomingMessage, length: number): AsyncGenerator<Buffer> {
  let received = 0;
  try {
    for await (const chunk of request) {
      received += (chunk as Buffer).length;
      yield chunk as Buffer;
    }
  } catch (cause) {
    throw uploadBrokeOff(received, length, cause);
  }
}
