import { IsletError } from '@islet/contracts';
import type { FastifyInstance } from 'fastify';

/** What curl declares its `-d` to be where nobody says otherwise: JSON is meant, since nothing here takes forms. */
const CURL_DEFAULT = 'application/x-www-form-urlencoded';

/**
 * Reads JSON bodies. An empty one counts as none, whatever its declared type: clients declare JSON on calls without a
 * body too.
 */
export function useJsonBodies(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    ['application/json', CURL_DEFAULT],
    { parseAs: 'string' },
    (request, body, done) => {
      if (body === '') return done(null, undefined);
      return parse(request, body as string, (error, value) => {
        if (!error) return done(null, value);
        done(new IsletError(400, `Error when parsing request: ${error.message}`, { cause: error }));
      });
    },
  );
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    if (body === '') return done(null, undefined);
    done(new IsletError(400, 'Error when parsing request: send the body as Content-Type: application/json'));
  });
  // So a body whose fields are all optional may be left out, and of one that may not the missing fields are named.
  app.addHook('preValidation', async (request) => {
    if (request.routeOptions.schema?.body) request.body ??= {};
  });
}
