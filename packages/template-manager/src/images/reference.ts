import { ImageError } from './image-error.ts';

/** A container image's name, taken apart. */
export interface ImageReference {
  /** Host, perhaps with a port. */
  registry: string;
  /** Path in the registry. */
  repository: string;
  /** `:tag` or `@sha256:…`. */
  version: string;
  /** As it was written, for messages. */
  written: string;
}

const DOCKER_HUB = 'docker.io';
/** The grammar of the distribution project, `reference` package; names and tags are bounded there, too. */
const COMPONENT = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const HOST =
  '(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\\[[0-9a-fA-F:]+\\])';
const REFERENCE = new RegExp(
  `^(?:(?<registry>${HOST}(?::\\d{1,5})?)/)?(?<repository>${COMPONENT}(?:/${COMPONENT})*)(?::(?<tag>\\w[\\w.-]{0,127}))?(?:@(?<digest>sha256:[0-9a-f]{64}))?$`,
);
const LONGEST_NAME = 255;

/**
 * Reads an image's name as Docker does: without a host it is Docker Hub's, without a tag the latest.
 * @throws ImageError if it cannot be one
 */
export function parseReference(written: string): ImageReference {
  const text = written.trim().replace(/^docker:\/\//, '');
  const groups = text.length <= 2 * LONGEST_NAME ? REFERENCE.exec(text)?.groups : undefined;
  if (!groups) throw new ImageError(`'${written.slice(0, LONGEST_NAME)}' is not an image name`);
  const { digest, tag = 'latest' } = groups;
  let { registry, repository = '' } = groups;
  // The first part is a host only if it looks like one: `team/image` is Docker Hub's.
  if (registry !== undefined && !/[.:]/.test(registry) && registry !== 'localhost') {
    repository = `${registry}/${repository}`;
    registry = undefined;
  }
  if (registry === 'index.docker.io') registry = DOCKER_HUB;
  registry ??= DOCKER_HUB;
  if (registry === DOCKER_HUB && !repository.includes('/')) repository = `library/${repository}`;
  const version = digest === undefined ? `:${tag}` : `@${digest}`;
  return { registry, repository, version, written: text };
}

/** The name in full. */
export function formatReference({ registry, repository, version }: ImageReference): string {
  return `${registry}/${repository}${version}`;
}

/** Docker and its like speak plain HTTP with registries on the same machine, and with no other. */
export function isLoopback({ registry }: ImageReference): boolean {
  const host = registry.replace(/:\d+$/, '');
  return host === 'localhost' || /^127\.\d+\.\d+\.\d+$/.test(host) || host === '[::1]';
}
