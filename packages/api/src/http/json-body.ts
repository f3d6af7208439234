import { bodyNotDeclaredJson, jsonTooDeep, tooManyJsonValues, unreadableRequest } from '@islet/contracts';
import type { FastifyInstance } from 'fastify';
import { JSON_DEPTH, JSON_VALUES } from './caps.ts';
import { measureJson } from './json-scan.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Most values in the route's JSON body. */
    jsonValues?: number;
  }
}

/** What curl declares its `-d` to be if nobody says otherwise: JSON is meant, since nothing here takes forms. */
const CURL_DEFAULT = 'application/x-www-form-urlencoded';

/** @throws IsletError 400 if a parser would have to make too much of it */
function assertParsable(body: Buffer, mostValues: number): void {
  const { values, depth } = measureJson(body);
  if (values > mostValues) {
    throw tooManyJsonValues(mostValues);
  }
  if (depth > JSON_DEPTH) {
    throw jsonTooDeep(JSON_DEPTH);
  }
}

/**
 * Reads JSON bodies, of bounded size in every respect. An empty one counts as none, whatever its declared type: clients declare JSON on calls without a
 * body too.
 */
export function useJsonBodies(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    ['application/json', CURL_DEFAULT],
    { parseAs: 'buffer' },
    (request, body: Buffer, done) => {
      if (body.length === 0) return done(null, undefined);
      assertParsable(body, request.routeOptions.config.jsonValues ?? JSON_VALUES);
      return parse(request, body.toString(), (error, value) => {
        if (!error) return done(null, value);
        done(unreadableRequest(error.message, error));
      });
    },
  );
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    if (body === '') return done(null, undefined);
    done(bodyNotDeclaredJson());
  });
  // So a body whose fields are all optional may be left out, and of one that may not the missing fields are named.
  app.addHook('preValidation', async (request) => {
    if (request.routeOptions.schema?.body) request.body ??= {};
  });
}
