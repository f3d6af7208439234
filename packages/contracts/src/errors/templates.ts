import { IsletError } from './error.ts';

/** 404 for a reference, which may be an alias. */
export function templateNotFound(reference: string): IsletError {
  return new IsletError(404, `template '${reference}' not found`);
}

/** 503 for a template that ships with Islet and is not there yet. `progress` says how far it is, such as `42 %, setting up packages`. */
export function templateBeingBuilt(reference: string, progress: string): IsletError {
  return new IsletError(
    503,
    `template '${reference}' is being built (${progress}): try again, it takes some minutes once`,
  );
}

/** 503 for a template that ships with Islet and cannot be built here; the next use tries again. */
export function templateNotBuilt(reference: string, reason: string): IsletError {
  return new IsletError(
    503,
    `template '${reference}' could not be built, and is tried again at its next use: ${reason}`,
  );
}

/** 404 for a raw id. */
export function templateIdNotFound(templateId: string): IsletError {
  return new IsletError(404, `Template ${templateId} not found`);
}

export function foreignTemplate(): IsletError {
  return new IsletError(403, "You don't have access to this template");
}

export function foreignAlias(): IsletError {
  return new IsletError(403, "You don't have access to this template alias");
}

export function foreignNamespace(namespace: string, teamSlug: string): IsletError {
  return new IsletError(400, `namespace '${namespace}' must match your team '${teamSlug}'`);
}

/** @param name as the client wrote it */
export function aliasTaken(name: string): IsletError {
  return new IsletError(409, `Alias '${name}' is already used`);
}

export function templateDeleted(name: string): IsletError {
  return new IsletError(404, `Template '${name}' has been deleted and cannot be rebuilt`);
}

/** @param state of its sandboxes, such as `paused` */
export function templateInUse(templateId: string, state: string): IsletError {
  return new IsletError(
    400,
    `cannot delete template '${templateId}' because there are ${state} sandboxes using it`,
  );
}

// References. `prefix` says of what, such as `Invalid alias`.

export function referenceTooLong(prefix: string, most: number): IsletError {
  return new IsletError(400, `${prefix}: a reference has at most ${most} characters`);
}

export function unreadableReference(prefix: string, text: string): IsletError {
  return new IsletError(400, `${prefix}: '${text}' is not [namespace/]alias[:tag]`);
}

export function wrongReferenceCharacters(prefix: string, text: string): IsletError {
  return new IsletError(
    400,
    `${prefix}: '${text}' may hold only letters, digits, '-' and '_' in its namespace and alias`,
  );
}

export function wrongTagCharacters(prefix: string, tag: string, most: number): IsletError {
  return new IsletError(
    400,
    `${prefix}: the tag '${tag}' may hold only letters, digits, '-', '_' and '.', at most ${most} of them`,
  );
}

// Tags

export function tagNotFound(tag: string, reference: string): IsletError {
  return new IsletError(404, `tag '${tag}' does not exist for template '${reference}'`);
}

export function taggedTemplateNotFound(reference: string, tag: string): IsletError {
  return new IsletError(404, `Template '${reference}' with tag '${tag}' not found`);
}

export function tagsMissing(): IsletError {
  return new IsletError(400, 'At least one tag is required');
}

export function tagInName(): IsletError {
  return new IsletError(400, 'Invalid name: leave the tag out, it belongs into tags');
}

export function undeletableTag(tag: string): IsletError {
  return new IsletError(400, `Cannot delete the '${tag}' tag`);
}

export function tooManyTagsOfBuild(most: number): IsletError {
  return new IsletError(400, `Invalid tag: a build has at most ${most} tags`);
}

export function tagReadsAsBuild(tag: string): IsletError {
  return new IsletError(400, `Invalid tag: '${tag}' reads as a build's id`);
}
