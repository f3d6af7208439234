import { expect, it } from 'vitest';
import { ImageError } from './image-error.ts';
import { explainPull } from './pull-failure.ts';

const cause = new Error('exit status 1');

it.each([
  ['reading manifest latest in example.com/a: manifest unknown', /not found/],
  ['unauthorized: authentication required', /access denied/],
  ['no image found in image index for architecture "arm64"', /no variant/],
  ['dial tcp 192.0.2.1:443: connect: connection refused', /cannot be reached/],
  ['Digest did not match, expected sha256:a, got sha256:b', /damaged/],
  ['write /pull/layout/blobs: no space left on device', /no space left/],
  ['unsupported image-specific operation on artifact', /kind that cannot be used/],
  ['something new', /cannot be pulled/],
])('knows what "%s" means, and keeps it from the client', (words, meaning) => {
  const error = explainPull('a:latest', words, cause);
  expect(error).toBeInstanceOf(ImageError);
  expect(error.message).toMatch(meaning);
  expect(error.message).not.toContain(words);
  expect(error.cause).toBe(cause);
});
