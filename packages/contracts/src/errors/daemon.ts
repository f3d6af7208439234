import { IsletError } from './error.ts';

/** 500 of the daemon inside of a sandbox; the cause is in its log. */
export function daemonFailed(cause: unknown): IsletError {
  return new IsletError(500, 'internal error', { cause });
}

export function daemonRouteNotFound(): IsletError {
  return new IsletError(404, 'not found');
}

export function methodNotAllowed(): IsletError {
  return new IsletError(405, 'method not allowed');
}

export function accessTokenMissing(): IsletError {
  return new IsletError(
    401,
    'unauthorized access, please provide a valid access token or method signing if supported',
  );
}

export function accessTokenReplaced(): IsletError {
  return new IsletError(401, 'unauthorized access, the access token does not match the current one');
}

// Bodies

export function undecodableBody(cause: Error): IsletError {
  return new IsletError(400, `error decoding request body: ${cause.message}`, { cause });
}

export function bodyIsNoObject(): IsletError {
  return new IsletError(400, 'request body must be a JSON object');
}

export function fieldNotText(name: string): IsletError {
  return new IsletError(400, `${name} must be text`);
}

export function fieldNotValid(name: string): IsletError {
  return new IsletError(400, `${name} is not valid`);
}

export function fieldNotObject(name: string): IsletError {
  return new IsletError(400, `${name} must be an object`);
}

export function fieldNotList(name: string): IsletError {
  return new IsletError(400, `${name} must be a list`);
}

// What a machine is told to be

export function networkVolumesNotSupported(): IsletError {
  return new IsletError(
    400,
    'volumeMounts of network targets are not supported: name what is mounted already, in volumes',
  );
}

export function invalidTimestamp(text: string): IsletError {
  return new IsletError(400, `timestamp '${text}' is not an RFC 3339 time`);
}

export function invalidVariable(name: string): IsletError {
  return new IsletError(400, `envVars has the invalid name or value '${name}'`);
}

export function volumesWithoutIds(): IsletError {
  return new IsletError(400, 'volumes must have ids');
}

export function volumesWithoutPaths(): IsletError {
  return new IsletError(400, 'volumes must have absolute and clean paths');
}

export function invalidVolumeTargets(): IsletError {
  return new IsletError(400, 'targets of volumes must be an IPv4 address and a path');
}

export function invalidNameServers(): IsletError {
  return new IsletError(400, 'dns must be a list of IP addresses');
}

export function invalidStandstill(): IsletError {
  return new IsletError(400, 'a standstill must have a time from which and one to which it was, Unix ms');
}

export function notApplied(cause: Error): IsletError {
  return new IsletError(400, `cannot apply: ${cause.message}`, { cause });
}

export function notRebooted(cause: Error): IsletError {
  return new IsletError(503, `cannot reboot: ${cause.message}`, { cause });
}
