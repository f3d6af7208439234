/** How a download is encoded; `none` if the client accepts nothing we have. */
export type Encoding = 'identity' | 'gzip' | 'none';

/** Chooses by an Accept-Encoding header. Without a header, and for a bare `*`, nothing is encoded. */
export function chooseEncoding(header: string | undefined): Encoding {
  if (header === undefined || header.trim() === '') return 'identity';
  const quality = new Map<string, number>();
  for (const item of header.split(',')) {
    const [name = '', ...parameters] = item.split(';').map((part) => part.trim().toLowerCase());
    if (name !== '') quality.set(name, qualityOf(parameters));
  }
  const star = quality.get('*');
  const gzip = quality.get('gzip') ?? quality.get('x-gzip');
  // Identity is acceptable unless it is refused by name or by `*;q=0`.
  const identity = quality.get('identity') ?? (star === 0 ? 0 : undefined);
  if (gzip !== undefined && gzip > 0 && gzip >= (quality.get('identity') ?? 0)) return 'gzip';
  if (identity !== 0) return 'identity';
  return gzip === undefined && star !== undefined && star > 0 ? 'gzip' : 'none';
}

function qualityOf(parameters: readonly string[]): number {
  const value = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
  if (value === undefined) return 1;
  const quality = Number(value);
  return Number.isFinite(quality) ? Math.min(Math.max(quality, 0), 1) : 0;
}
