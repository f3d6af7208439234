import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';

const DIGEST = '^sha256:[0-9a-f]{64}$';

/** What is known of an image before its layers are fetched. */
export type ImageSummary = Static<typeof ImageSummary>;
const ImageSummary = Type.Object({
  /** Of what the name leads to; for images of several platforms that of their list. */
  digest: Type.String({ pattern: DIGEST }),
  architecture: Type.String({ maxLength: 64 }),
  os: Type.String({ maxLength: 64 }),
  env: Type.Array(Type.String()),
  /** Compressed. Docker takes no image with more of them. */
  layers: Type.Array(
    Type.Object({ digest: Type.String({ pattern: DIGEST }), bytes: Type.Integer({ minimum: 0 }) }),
    { maxItems: 127 },
  ),
});

/** The same, in the words of skopeo's templates; in lines, of which none is longer than one variable. */
export const SUMMARY = `{"digest":{{json .Digest}},"architecture":{{json .Architecture}},"os":{{json .Os}},
"env":[{{range $i, $e := .Env}}{{if $i}},{{end}}
{{json $e}}{{end}}],
"layers":[{{range $i, $l := .LayersData}}{{if $i}},{{end}}
{"digest":{{json $l.Digest}},"bytes":{{$l.Size}}}{{end}}]}`;

/** Longest description of an image: its variables, and layers of some 100 bytes each. */
export const SUMMARY_BYTES = 256 * 1024;

/** Undefined if it is not what skopeo says of an image: a registry chose all of it, and may have taken skopeo over. */
export function parseSummary(text: string): ImageSummary | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Value.Check(ImageSummary, value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function isDigest(text: string): boolean {
  return new RegExp(DIGEST).test(text);
}

/** The variables of an image's configuration, without what is none. */
export function variablesOf({ env }: ImageSummary): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const entry of env) {
    const split = entry.indexOf('=');
    if (split > 0 && !entry.includes('\0')) variables[entry.slice(0, split)] = entry.slice(split + 1);
  }
  return variables;
}
