/** An image that cannot be had; the message is for the one who named it. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
}

export function noVariant(image: string, cause: unknown): ImageError {
  return new ImageError(`image '${image}' has no variant for this machine's platform`, { cause });
}

export function accessDenied(image: string, cause: unknown): ImageError {
  return new ImageError(`access denied to '${image}': authentication required or insufficient permissions`, {
    cause,
  });
}

export function imageNotFound(image: string, cause: unknown): ImageError {
  return new ImageError(`image '${image}' not found: the image or tag does not exist in the registry`, {
    cause,
  });
}

export function damagedImage(image: string, cause: unknown): ImageError {
  return new ImageError(
    `image '${image}' is damaged in the registry: what it sends is not what the image's digests say`,
    { cause },
  );
}

export function registryUnreachable(image: string, cause: unknown): ImageError {
  return new ImageError(`the registry of image '${image}' cannot be reached`, { cause });
}

export function builderFull(image: string, cause: unknown): ImageError {
  return new ImageError(`there is no space left on the builder for image '${image}'`, { cause });
}

export function unusableKind(image: string, cause: unknown): ImageError {
  return new ImageError(`image '${image}' is of a kind that cannot be used`, { cause });
}

/** Of a pull that failed for a reason that is in the log only. */
export function notPulled(image: string, cause: unknown): ImageError {
  return new ImageError(`image '${image}' cannot be pulled`, { cause });
}

/** Of a registry that goes on sending when all was sent. */
export function sendsTooMuch(image: string, cause: unknown): ImageError {
  return new ImageError(
    `image '${image}' is damaged in the registry: it sends more than the image's manifest says`,
    { cause },
  );
}

/** Of a registry that would keep a builder for no end. */
export function tooSlow(image: string, cause: unknown): ImageError {
  return new ImageError(`the registry of image '${image}' is too slow: try again, or use another`, { cause });
}

/** Of a host that the operator does not let builds reach. Which address it has is not told: it may be one of a private network. */
export function notAllowed(image: string, host: string, cause?: unknown): ImageError {
  return new ImageError(
    `image '${image}' cannot be pulled: builds may not reach ${host} on this Islet; its operator can allow it with --registry-allow`,
    { cause },
  );
}
