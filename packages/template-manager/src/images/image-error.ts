/** An image that cannot be had; the message is for the one who named it. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
}

/** What skopeo says, in the order in which to look, and what it means. Its messages: containers/image and docker/distribution. */
const MEANINGS: readonly (readonly [pattern: RegExp, meaning: (image: string) => string])[] = [
  [
    /no image found in (?:image index|manifest list) for architecture/i,
    (image) => `image '${image}' has no variant for this machine's platform`,
  ],
  [
    /unauthorized|authentication required|invalid username\/password|denied|forbidden|status(?: code)? 40[13]/i,
    (image) => `access denied to '${image}': authentication required or insufficient permissions`,
  ],
  [
    /manifest unknown|name unknown|repository name not known|was deleted or has expired|status(?: code)? 404/i,
    (image) => `image '${image}' not found: the image or tag does not exist in the registry`,
  ],
  [
    /did not match|digest mismatch|does not match|unexpected EOF|wrong diffID|invalid digest|size mismatch|gzip: invalid|corrupt|invalid checksum|content length|file too large|file size limit|SIGXFSZ/i,
    (image) =>
      `image '${image}' is damaged in the registry: what it sends is not what the image's digests say`,
  ],
  [
    /connection refused|no such host|i\/o timeout|deadline exceeded|network is unreachable|no route to host|TLS|x509|server gave HTTP response|connection reset|pinging container registry|dial tcp|\bEOF\b/i,
    (image) => `the registry of image '${image}' cannot be reached`,
  ],
  [/no space left/i, (image) => `there is no space left on the builder for image '${image}'`],
  [
    /unsupported|not supported|not implemented|unknown media type/i,
    (image) => `image '${image}' is of a kind that cannot be used`,
  ],
];

/** Says what a failed pull means. `words` is what skopeo or umoci wrote; it does not reach the client. */
export function explainPull(image: string, words: string, cause: unknown): ImageError {
  const [, meaning] = MEANINGS.find(([pattern]) => pattern.test(words)) ?? [];
  return new ImageError(meaning?.(image) ?? `image '${image}' cannot be pulled`, { cause });
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
