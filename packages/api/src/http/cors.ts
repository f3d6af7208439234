import {
  answersTo,
  foreignApiName,
  foreignPage,
  foreignSite,
  formatOrigin,
  type HostPattern,
  hostHeaderWithoutHost,
  matchesOrigin,
  type OriginPattern,
  pageWithoutAddress,
  parseAuthority,
  parseOrigin,
} from '@islet/contracts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { access } from '../auth/guard.ts';

/** What the operator lets browsers do. */
export interface WebAccess {
  /** Names that the API answers to, besides loopback names and IP addresses. */
  hosts: readonly HostPattern[];
  /** Pages that may call the API. */
  origins: readonly OriginPattern[];
}

const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE';

const REQUEST_HEADERS = [
  'Origin',
  'Content-Length',
  'Content-Type',
  'User-Agent',
  'Authorization',
  'X-API-Key',
  'X-Team-ID',
  'browser',
  'lang',
  'lang_version',
  'machine',
  'os',
  'package_version',
  'processor',
  'publisher',
  'release',
  'sdk_runtime',
  'system',
].join(', ');

const EXPOSED_HEADERS = [
  'X-Next-Token',
  'X-Total-Running',
  'RateLimit-Limit',
  'RateLimit-Remaining',
  'RateLimit-Reset',
  'Retry-After',
].join(', ');

/** How the API's own pages are named on this machine. Names below localhost are the pages of sandboxes. */
const OWN_HOSTS: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '::1']);

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Keeps web pages away, and lets those in that the operator named. A key is no protection here: a page may know one, as
 * everybody knows that of local development. So a request is refused before anything else of it is looked at:
 * - if it calls the API by a name that is not the API's (DNS rebinding makes a stranger's name lead to this machine);
 * - if it comes from a page that was not named, also if it needs no preflight;
 * - if a browser says that another site makes it change something, and does not say which.
 *
 * Programs send neither `Origin` nor `Sec-Fetch-Site`.
 */
export function useCors(app: FastifyInstance, web: WebAccess): void {
  app.addHook('onRequest', async (request, reply) => {
    refuseForeignHost(request, web.hosts);
    reply.header('Vary', 'Origin');
    const { origin } = request.headers;
    if (origin === undefined) return refuseUnnamedSite(request);
    refuseForeignPage(request, origin, web.origins);
    reply.header('Access-Control-Allow-Origin', origin);
    reply.header('Access-Control-Expose-Headers', EXPOSED_HEADERS);
  });
  app.options('*', { config: { access: access.open } }, async (request, reply) => {
    reply.header('Allow', METHODS);
    if (request.headers.origin !== undefined) {
      reply.header('Access-Control-Allow-Methods', METHODS);
      reply.header('Access-Control-Allow-Headers', REQUEST_HEADERS);
      // Chrome asks for it where a page of the internet calls a private address.
      if (request.headers['access-control-request-private-network'] === 'true') {
        reply.header('Access-Control-Allow-Private-Network', 'true');
      }
    }
    return reply.code(204).send();
  });
}

function refuseForeignHost(request: FastifyRequest, allowed: readonly HostPattern[]): void {
  const { host } = request.headers;
  // HTTP/1.0 may leave it out; browsers never do.
  if (host === undefined) return;
  const authority = parseAuthority(host);
  if (!authority) throw hostHeaderWithoutHost();
  if (answersTo(allowed, authority.host)) return;
  throw foreignApiName(authority.host);
}

function refuseForeignPage(request: FastifyRequest, text: string, allowed: readonly OriginPattern[]): void {
  if (allowed.some(({ kind }) => kind === 'any')) return;
  const origin = parseOrigin(text);
  if (!origin) {
    throw pageWithoutAddress();
  }
  const isOwn =
    origin.scheme === 'http' && OWN_HOSTS.has(origin.host) && origin.port === request.socket.localPort;
  if (isOwn || allowed.some((pattern) => matchesOrigin(pattern, origin))) return;
  throw foreignPage(formatOrigin(origin));
}

/** Browsers may leave `Origin` out of a form that another site sends, but then they say that there is another site. */
function refuseUnnamedSite({ method, headers }: FastifyRequest): void {
  const site = headers['sec-fetch-site'];
  if (site === undefined || site === 'same-origin' || site === 'none' || SAFE_METHODS.has(method)) return;
  throw foreignSite();
}
