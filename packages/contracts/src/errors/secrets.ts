import { IsletError } from './error.ts';

// Fixed texts: none of them repeats what was sent, or what a database said.

export function invalidSecretsRequest(cause?: unknown): IsletError {
  return new IsletError(400, 'Invalid secrets request', { cause });
}

export function secretsUnauthenticated(cause?: unknown): IsletError {
  return new IsletError(401, 'You are not authenticated', { cause });
}

export function secretsNotAvailable(cause?: unknown): IsletError {
  return new IsletError(403, 'Secrets are not available for this team', { cause });
}

export function secretNotFound(): IsletError {
  return new IsletError(404, 'Secret not found');
}

/** A path below `/secrets` that there is not. */
export function noSuchSecretsRoute(): IsletError {
  return new IsletError(404, 'Not found');
}

export function secretConflict(): IsletError {
  return new IsletError(409, 'Secret cannot be modified in its current state');
}

export function secretsBackendFailed(cause: unknown): IsletError {
  return new IsletError(502, 'Secrets backend error', { cause });
}

export function secretsBackendTimedOut(): IsletError {
  return new IsletError(504, 'Secrets backend timed out');
}
