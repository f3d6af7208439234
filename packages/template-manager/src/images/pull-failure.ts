import {
  accessDenied,
  builderFull,
  damagedImage,
  type ImageError,
  imageNotFound,
  notPulled,
  noVariant,
  registryUnreachable,
  unusableKind,
} from './image-error.ts';

/** What skopeo and umoci say, in the order in which to look, and what it means. Their messages: containers/image and docker/distribution. */
const MEANINGS: readonly (readonly [said: RegExp, meaning: typeof notPulled])[] = [
  [/no image found in (?:image index|manifest list) for architecture/i, noVariant],
  [
    /unauthorized|authentication required|invalid username\/password|denied|forbidden|status(?: code)? 40[13]/i,
    accessDenied,
  ],
  [
    /manifest unknown|name unknown|repository name not known|was deleted or has expired|status(?: code)? 404/i,
    imageNotFound,
  ],
  [
    /did not match|digest mismatch|does not match|unexpected EOF|wrong diffID|invalid digest|size mismatch|gzip: invalid|corrupt|invalid checksum|content length|file too large|file size limit|SIGXFSZ/i,
    damagedImage,
  ],
  [
    /connection refused|no such host|i\/o timeout|deadline exceeded|network is unreachable|no route to host|TLS|x509|server gave HTTP response|connection reset|pinging container registry|dial tcp|\bEOF\b/i,
    registryUnreachable,
  ],
  [/no space left/i, builderFull],
  [/unsupported|not supported|not implemented|unknown media type/i, unusableKind],
];

/** What a failed pull means. @param words what skopeo or umoci wrote; it does not reach the client */
export function explainPull(image: string, words: string, cause: unknown): ImageError {
  const [, meaning = notPulled] = MEANINGS.find(([said]) => said.test(words)) ?? [];
  return meaning(image, cause);
}
