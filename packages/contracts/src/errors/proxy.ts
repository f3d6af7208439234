import { IsletError } from './error.ts';

// Where a request is to go

export function invalidHost(): IsletError {
  return new IsletError(400, 'Invalid host');
}

export function invalidSandboxPort(): IsletError {
  return new IsletError(400, 'Invalid sandbox port');
}

/** 400: one of the two routing headers came without the other. */
export function routingHeaderMissing(): IsletError {
  return new IsletError(400, 'missing header');
}

export function foreignSandboxName(host: string): IsletError {
  return new IsletError(
    403,
    `no sandbox is reached by the name ${host}: if it is yours, start Islet with --allow-host, or with ` +
      '--domain if it is that of all sandboxes',
  );
}

export function tooManySearches(): IsletError {
  return new IsletError(429, 'Too many file requests that name no sandbox. Try again in a moment.');
}

// How it is written

export function invalidRequestTarget(): IsletError {
  return new IsletError(400, 'Invalid request target');
}

export function invalidContentLength(): IsletError {
  return new IsletError(400, 'Invalid Content-Length');
}

export function repeatedContentLength(): IsletError {
  return new IsletError(400, 'More than one Content-Length header');
}

export function repeatedTransferEncoding(): IsletError {
  return new IsletError(400, 'More than one Transfer-Encoding header');
}

export function twoFramings(): IsletError {
  return new IsletError(400, 'Both Content-Length and Transfer-Encoding');
}

export function unsupportedTransferCoding(): IsletError {
  return new IsletError(501, 'Unsupported transfer coding');
}

export function tooManyFields(most: number): IsletError {
  return new IsletError(431, `More than ${most} header fields`);
}

export function unsupportedVersion(): IsletError {
  return new IsletError(505, 'HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here');
}

export function connectNotSupported(): IsletError {
  return new IsletError(405, 'CONNECT is not supported');
}
