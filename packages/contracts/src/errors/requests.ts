import { IsletError } from './error.ts';

const KIB = 1024;

/** 500: what happened is in the log, and no client's business. */
export function internalError(cause: unknown): IsletError {
  return new IsletError(500, 'Internal server error', { errorCode: 'internal_server_error', cause });
}

export function databaseUnavailable(cause: unknown): IsletError {
  return new IsletError(503, 'The database does not answer, try again', { cause });
}

export function noSuchRoute(method: string, path: string): IsletError {
  return new IsletError(404, `no such route: ${method} ${path}`);
}

// Bodies

/** @param detail what a schema says of a part of the request */
export function invalidRequest(detail: string, cause: unknown): IsletError {
  return new IsletError(400, `validation error: ${detail}`, { cause });
}

/** @param status other than 400 if the HTTP server chose it */
export function unreadableRequest(detail: string, cause: unknown, status = 400): IsletError {
  return new IsletError(status, `Error when parsing request: ${detail}`, { cause });
}

export function bodyNotDeclaredJson(): IsletError {
  return unreadableRequest('send the body as Content-Type: application/json', undefined);
}

export function bodyTooLarge(maxBytes: number, cause?: unknown): IsletError {
  const most = maxBytes % KIB === 0 ? `${maxBytes / KIB} KiB` : `${maxBytes} bytes`;
  return new IsletError(413, `request body is larger than ${most}`, { cause });
}

export function tooManyJsonValues(most: number): IsletError {
  return new IsletError(400, `the JSON body holds more than ${most} values`);
}

export function jsonTooDeep(most: number): IsletError {
  return new IsletError(400, `the JSON body is nested deeper than ${most} levels`);
}

/** @param what such as `100 requests` */
export function tooMuchUnderWay(what: string): IsletError {
  return new IsletError(429, `you have ${what} under way: wait for some of them to end`, { retryAfterS: 1 });
}

// Lists and metrics

export function invalidNextToken(): IsletError {
  return new IsletError(400, 'Invalid next token');
}

export function invalidTimeRange(): IsletError {
  return new IsletError(400, 'Invalid time range for metrics');
}

export function tooManySandboxesAsked(most: number): IsletError {
  return new IsletError(400, `Too many sandboxes requested, maximum is ${most}`);
}

// How many come

export function rateLimitExceeded(retryAfterS: number): IsletError {
  return new IsletError(429, 'Rate limit exceeded', { retryAfterS });
}

// Who calls, by the headers of browsers

export function hostHeaderWithoutHost(): IsletError {
  return new IsletError(400, 'the Host header names no host');
}

export function foreignApiName(host: string): IsletError {
  return new IsletError(
    403,
    `this API does not answer to the name ${host}: if it is yours, start Islet with ` +
      `--allow-host ${host} (or ISLET_ALLOW_HOST)`,
  );
}

export function pageWithoutAddress(): IsletError {
  return new IsletError(403, 'pages without an address of their own may not call this API');
}

export function foreignPage(origin: string): IsletError {
  return new IsletError(
    403,
    `pages of ${origin} may not call this API: if they are yours, start Islet with ` +
      `--allow-origin ${origin} (or ISLET_ALLOW_ORIGIN)`,
  );
}

export function foreignSite(): IsletError {
  return new IsletError(403, 'pages of other sites may not call this API: see --allow-origin');
}
