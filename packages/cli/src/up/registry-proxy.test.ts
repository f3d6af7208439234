import { describe, expect, it } from 'vitest';
import { registryProxy } from './registry-proxy.ts';

describe('the way to registries', () => {
  it('is none, or the proxy of the environment', () => {
    expect(registryProxy({})('docker.io')).toBeUndefined();
    expect(registryProxy({ HTTPS_PROXY: 'proxy:3128' })('docker.io')?.href).toBe('http://proxy:3128/');
    expect(registryProxy({ https_proxy: 'https://a:b@proxy' })('docker.io')?.href).toBe('https://a:b@proxy/');
    expect(() => registryProxy({ HTTPS_PROXY: 'http://a b' })).toThrow('is not an address');
  });

  it.each([
    ['*', 'docker.io', false],
    ['', 'docker.io', true],
    ['registry.corp', 'registry.corp:5000', false],
    ['corp', 'registry.corp', false],
    ['.corp', 'registry.corp', false],
    ['.corp', 'corp', true],
    ['corp', 'notcorp', true],
    ['registry.corp:5000', 'registry.corp:5000', false],
    ['registry.corp:5000', 'registry.corp', true],
    ['a, 10.1.2.3', '10.1.2.3:5000', false],
  ])('with NO_PROXY=%s for %s: through the proxy %s', (NO_PROXY, registry, through) => {
    const found = registryProxy({ HTTPS_PROXY: 'http://proxy', NO_PROXY })(registry);
    expect(found !== undefined).toBe(through);
  });
});
