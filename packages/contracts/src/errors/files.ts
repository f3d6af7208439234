import { IsletError } from './error.ts';

// Who may: the signature of a file's address

export function fileTokenMismatch(): IsletError {
  return new IsletError(401, 'access token present in header but does not match');
}

export function signatureMissing(): IsletError {
  return new IsletError(401, 'missing signature query parameter');
}

export function invalidSignature(): IsletError {
  return new IsletError(401, 'invalid signature');
}

export function signatureExpired(): IsletError {
  return new IsletError(401, 'signature is already expired');
}

export function invalidSignatureExpiration(text: string): IsletError {
  return new IsletError(400, `invalid signature_expiration '${text}'`);
}

export function unknownUser(name: string): IsletError {
  return new IsletError(401, `error looking up user '${name}': user: unknown user ${name}`);
}

// Paths

export function unresolvablePath(cause: Error): IsletError {
  return new IsletError(400, `error resolving path: ${cause.message}`, { cause });
}

export function invalidPath(path: string, cause: Error): IsletError {
  return new IsletError(400, `invalid path '${path}': ${cause.message}`, { cause });
}

export function pathNotFound(path: string, cause: unknown): IsletError {
  return new IsletError(404, `path '${path}' does not exist`, { cause });
}

export function pathExists(path: string): IsletError {
  return new IsletError(409, `path '${path}' already exists`);
}

export function pathIsDirectory(path: string): IsletError {
  return new IsletError(400, `path '${path}' is a directory`);
}

export function pathIsNoDirectory(path: string, cause?: unknown): IsletError {
  return new IsletError(400, `path '${path}' is not a directory`, { cause });
}

export function pathIsNoFile(path: string): IsletError {
  return new IsletError(400, `path '${path}' is not a regular file`);
}

// Downloads

export function noAcceptableEncoding(): IsletError {
  return new IsletError(406, 'no acceptable encoding: identity and gzip are offered');
}

export function fileNotOpened(path: string, cause: Error): IsletError {
  return new IsletError(500, `error opening file '${path}': ${cause.message}`, { cause });
}

export function invalidRange(): IsletError {
  return new IsletError(416, 'invalid range: failed to overlap');
}

// Uploads

/** @param defect what is wrong with the metadata, such as a name that is none */
export function invalidMetadata(defect: string): IsletError {
  return new IsletError(400, `invalid metadata: ${defect}`);
}

export function uploadPathMissing(): IsletError {
  return new IsletError(400, 'path query parameter is required for raw body upload');
}

export function unsupportedContentType(type: string): IsletError {
  return new IsletError(
    400,
    `unsupported content type '${type}', use multipart/form-data or application/octet-stream`,
  );
}

export function unsupportedContentEncoding(encoding: string): IsletError {
  return new IsletError(400, `unsupported content encoding '${encoding}', use gzip`);
}

export function bodyNotDecompressed(cause: Error): IsletError {
  return new IsletError(400, `error decompressing request body: ${cause.message}`, { cause });
}

export function unreadableForm(cause: Error): IsletError {
  return new IsletError(400, `error parsing multipart form: ${cause.message}`, { cause });
}

export function pathUploadedTwice(path: string): IsletError {
  return new IsletError(
    400,
    `you cannot upload multiple files to the same path '${path}' in one upload request, only the first specified file was uploaded`,
  );
}

export function writeToDirectory(path: string): IsletError {
  return new IsletError(400, `path is a directory: ${path}`);
}

export function diskFull(path: string, cause: unknown): IsletError {
  return new IsletError(507, `error writing file '${path}': not enough disk space available`, { cause });
}

export function inodesUsedUp(path: string, cause: unknown): IsletError {
  return new IsletError(507, `error writing file '${path}': not enough inodes available`, { cause });
}

export function fileNotWritten(path: string, cause: Error): IsletError {
  return new IsletError(500, `error writing file '${path}': ${cause.message}`, { cause });
}

// Files made of others

export function sourcePathsMissing(): IsletError {
  return new IsletError(400, 'source_paths must be a non-empty list of paths');
}

export function destinationMissing(): IsletError {
  return new IsletError(400, 'destination is required');
}

export function sourceIsDestination(path: string): IsletError {
  return new IsletError(400, `source path '${path}' is the destination`);
}

export function sourceNotFound(path: string): IsletError {
  return new IsletError(404, `source path '${path}' does not exist`);
}

export function sourceNotRead(path: string, cause: Error): IsletError {
  return new IsletError(500, `error reading source path '${path}': ${cause.message}`, { cause });
}

export function sourceIsNoFile(path: string): IsletError {
  return new IsletError(400, `source path '${path}' is not a regular file`);
}
