const RESERVED = new Set(['/init', '/freeze', '/unfreeze', '/collapse', '/fsfreeze', '/fsthaw', '/upgrade']);

/** Decodes %XX; what is no escape stays as it is. */
function decodePercent(text: string): string {
  return text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function withoutDotSegments(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '' || segment === '.') continue;
    if (segment === '..') kept.pop();
    else kept.push(segment);
  }
  return `/${kept.join('/')}`;
}

/**
 * The endpoint of envd that only the control plane may call, if a request's path leads to one by any spelling:
 * escaped (also more than once), with dot segments, doubled or backward slashes, a trailing slash or other case.
 * Rather refuses a spelling that envd would not understand than lets one through that it would.
 */
export function reservedPath(requestTarget: string): string | undefined {
  let path = requestTarget.replace(/[?#].*$/s, '');
  for (let round = 0; round < 4 && path.includes('%'); round++) path = decodePercent(path);
  const cleaned = withoutDotSegments(path.replace(/[?#].*$/s, '').replaceAll('\\', '/')).toLowerCase();
  return RESERVED.has(cleaned) ? cleaned : undefined;
}
