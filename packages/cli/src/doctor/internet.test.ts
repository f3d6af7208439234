import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { evaluateInternet, probeInternet, wayTo } from './checks/internet.ts';

describe('the way to the packages', () => {
  it.each([
    ['http://deb.debian.org/', {}, { host: 'deb.debian.org', port: 80, isProxy: false }],
    ['https://mirror.test:8443/', {}, { host: 'mirror.test', port: 8443, isProxy: false }],
    [
      'http://mirror.test/',
      { http_proxy: 'http://proxy.test:3128' },
      { host: 'proxy.test', port: 3128, isProxy: true },
    ],
    [
      'https://mirror.test/',
      { http_proxy: 'http://proxy.test:3128' },
      { host: 'mirror.test', port: 443, isProxy: false },
    ],
  ])('to %s is, with %j, %j', (mirror, environment, way) => {
    expect(wayTo(mirror, environment)).toEqual(way);
  });

  it('is judged by its proxy if it has one, and says so', async () => {
    const proxy = createServer().listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const { port } = proxy.address() as AddressInfo;
    const way = wayTo('http://mirror.invalid/', { http_proxy: `http://127.0.0.1:${port}` });
    const [dns, internet] = evaluateInternet(await probeInternet(way));
    expect([dns?.status, internet?.status]).toEqual(['ok', 'ok']);
    expect(internet?.detail).toContain('the proxy 127.0.0.1 is reachable');
    proxy.close();
    await once(proxy, 'close');
    expect(evaluateInternet(await probeInternet(way))[1]?.status).toBe('warning');
  });
});
