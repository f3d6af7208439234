import { IsletError } from './error.ts';

export function joinTokenUnknown(): IsletError {
  return new IsletError(
    401,
    'This cluster has made no such token, or it is long over: make one with `islet token create`',
  );
}

export function joinTokenUsed(): IsletError {
  return new IsletError(
    401,
    'This token was used already, and works once: make another one with `islet token create`',
  );
}

export function joinTokenExpired(): IsletError {
  return new IsletError(401, 'This token has expired: make another one with `islet token create`');
}

/** 409: the token stays good. */
export function memberNameTaken(role: string, name: string): IsletError {
  return new IsletError(
    409,
    `The cluster has ${role} ${name} already: join under another name with --name, or remove that one before`,
  );
}

export function memberNameInvalid(): IsletError {
  return new IsletError(400, 'A name has 1 to 64 letters, digits, dots, dashes and underscores');
}

export function certificateRequestInvalid(cause: unknown): IsletError {
  return new IsletError(400, 'That is no request for a certificate with a key of P-256', { cause });
}

export function announcementInvalid(): IsletError {
  return new IsletError(400, 'A node says an IP address, three ports, and up to 64 labels');
}

/** 403 to who is no member of the cluster any more. */
export function memberRemoved(): IsletError {
  return new IsletError(403, 'This machine was removed from its cluster: join it again with a new token');
}
