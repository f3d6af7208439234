import { expect, it } from 'vitest';
import { protocolOf } from './first-bytes.ts';

it.each([
  ['GET / HTTP/1.1', 'http1'],
  ['POST / HTTP/1.1', 'http1'],
  ['PROPFIND / HTTP/1.1', 'http1'],
  ['PRI * HTTP/1.1', 'http1'],
  ['PRINT / HTTP/1.1', 'http1'],
  ['\r\n', 'http1'],
  ['P', undefined],
  ['PR', undefined],
  ['PRI * HTTP/', undefined],
  ['PRI * HTTP/2', 'http2'],
  ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'http2'],
  ['\x16\x03\x01', 'tls'],
])('takes %j for %s', (bytes, protocol) => {
  expect(protocolOf(Buffer.from(bytes, 'latin1'))).toBe(protocol);
});
