import { OPTIONS, type OptionName } from '../options/options.ts';
import type { StoreAddress } from '../options/parse.ts';
import { OptionError, type OptionSources, readOption } from '../options/spec.ts';

/** What names a store. */
export const STORE_OPTIONS: readonly OptionName[] = [
  'store',
  'storeEndpoint',
  'storeRegion',
  'storePathStyle',
];

/** Where nodes share what they save, with all that it takes to get there. */
export type StoreSettings =
  | Extract<StoreAddress, { kind: 'directory' }>
  | (Extract<StoreAddress, { kind: 's3' }> & {
      endpoint: string | undefined;
      region: string | undefined;
      pathStyle: boolean;
    });

/** Undefined if there is none. @throws OptionError naming the option that is wrong */
export function readStore(sources: OptionSources): StoreSettings | undefined {
  const address = readOption(OPTIONS.store, sources);
  if (address?.kind !== 's3') {
    // The variables of Amazon's tools may be there for others.
    const stray = ['store-endpoint', 'store-region'].find((flag) => sources.flags[flag] !== undefined);
    if (stray !== undefined) throw new OptionError(`--${stray} needs a --store s3://<bucket>/<prefix>`);
    return address;
  }
  const endpoint = readOption(OPTIONS.storeEndpoint, sources);
  const region = readOption(OPTIONS.storeRegion, sources);
  return {
    ...address,
    endpoint,
    region: region ?? (endpoint === undefined ? undefined : 'us-east-1'),
    pathStyle: readOption(OPTIONS.storePathStyle, sources) ?? endpoint !== undefined,
  };
}

/** For people. */
export function nameOfStore(settings: StoreSettings): string {
  if (settings.kind === 'directory') return settings.path;
  const { bucket, prefix } = settings;
  return `s3://${bucket}${prefix && `/${prefix}`}`;
}
