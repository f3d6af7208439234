import { describe, expect, it } from 'vitest';
import { readStore } from './settings.ts';

const read = (flags: Record<string, string>, env: Record<string, string> = {}) => readStore({ flags, env });

describe('where the store is', () => {
  it("is nowhere, or in a directory, whatever variables Amazon's tools have", () => {
    const env = { AWS_REGION: 'eu-north-1', AWS_ENDPOINT_URL_S3: 'https://s3.example.com' };
    expect(read({}, env)).toBeUndefined();
    expect(read({ store: '/mnt/../islet' }, env)).toEqual({ kind: 'directory', path: '/islet' });
  });

  it("is in a bucket of Amazon's, or of another server", () => {
    const bucket = { kind: 's3', bucket: 'my.bucket', prefix: 'one/two' };
    const amazons = { ...bucket, endpoint: undefined, region: undefined, pathStyle: false };
    expect(read({ store: 's3://my.bucket/one/two/' })).toEqual(amazons);
    expect(read({ store: 's3://my.bucket' })).toEqual({ ...amazons, prefix: '' });
    const endpoint = 'http://10.0.0.9:8080';
    const others = { ...bucket, endpoint, region: 'us-east-1', pathStyle: true };
    expect(read({ store: 's3://my.bucket/one/two', 'store-endpoint': endpoint })).toEqual(others);
    const env = { ISLET_STORE: 's3://my.bucket/one/two', AWS_ENDPOINT_URL_S3: endpoint, AWS_REGION: 'here' };
    expect(read({ 'store-path-style': 'off' }, env)).toEqual({ ...others, region: 'here', pathStyle: false });
  });

  it.each([
    'relative',
    's3://',
    's3://UPPER',
    's3://a',
    's3://bucket//a',
    's3://bucket/../a',
    's3://bucket/a b',
    's3:/bucket',
    'http://a',
  ])('is not %j', (store) =>
    expect(() => read({ store })).toThrow('--store must be the absolute path of a directory, or s3://'),
  );

  it('has no server if it is a directory', () => {
    expect(() => read({ store: '/a', 'store-endpoint': 'http://b' })).toThrow(
      '--store-endpoint needs a --store s3://',
    );
  });
});
