import { annotate, beginSpan, Durations, extractFrom, isMeasured, within } from '@islet/telemetry';
import type { FastifyRequest } from 'fastify';
import type { ApiApp } from '../context.ts';

type Span = ReturnType<typeof beginSpan>;

declare module 'fastify' {
  interface FastifyRequest {
    span?: Span;
  }
}

const ANSWERED = new Durations({
  name: 'http.server.duration',
  description: 'Requests to the API, from the last byte of the head to the end of the answer',
});

/** What is no route; what clients write there would be without bound. */
const NO_ROUTE = 'none';
/** Asked every second by load balancers. */
const UNTRACED = new Set(['/health']);

/**
 * Has each request be a span with its sandbox and its team, below the client's if it names one (W3C `traceparent`), and times it.
 * To be called before anything else that takes part in answering. Nothing is added where nobody asks for it.
 */
export function useObservation(app: ApiApp): void {
  if (!isMeasured()) return;
  app.decorateRequest('span', undefined);
  app.addHook('onRequest', (request, reply, done) => {
    const begin = performance.now();
    const route = routeOf(request);
    const span = UNTRACED.has(route) ? undefined : begun(request, route);
    reply.raw.once('close', () => {
      const facts = {
        'http.request.method': request.method,
        'http.route': route,
        'http.response.status_code': reply.raw.statusCode,
      };
      ANSWERED.record(performance.now() - begin, facts);
      span?.setAttributes(facts);
      if (reply.raw.statusCode >= 500) span?.setAttribute('error.type', String(reply.raw.statusCode));
      span?.end();
    });
    if (!span) return done();
    request.span = span;
    within(span, done);
  });
  // What was read of the body came with events of the connection, which belong to no span.
  app.addHook('preValidation', (request, _reply, done) => {
    const { span, caller } = request;
    if (!span) return done();
    within(span, () => {
      if (caller.kind === 'team') annotate({ 'team.id': caller.team.id });
      done();
    });
  });
}

function begun(request: FastifyRequest, route: string): Span {
  const { sandboxID } = (request.params ?? {}) as { sandboxID?: unknown };
  return beginSpan({
    ...{ part: 'api', kind: 'server', name: `${request.method} ${route}` },
    attributes: typeof sandboxID === 'string' ? { 'sandbox.id': sandboxID } : {},
    parent: extractFrom((name) => {
      const value = request.headers[name];
      return typeof value === 'string' ? value : undefined;
    }),
  });
}

function routeOf({ is404, routeOptions }: FastifyRequest): string {
  return is404 ? NO_ROUTE : (routeOptions.url ?? NO_ROUTE);
}
