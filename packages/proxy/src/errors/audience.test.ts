import { expect, it } from 'vitest';
import { type AudienceHints, wantsPage } from './audience.ts';

const CHROME =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36';
const NAVIGATION = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';

const hints = (given: Partial<AudienceHints>): AudienceHints => ({
  accept: undefined,
  userAgent: undefined,
  secFetchMode: undefined,
  xRequestedWith: undefined,
  ...given,
});

it.each<[string, Partial<AudienceHints>, boolean]>([
  ['a browser’s navigation', { userAgent: CHROME, accept: NAVIGATION, secFetchMode: 'navigate' }, true],
  ['an old browser without Sec-Fetch-Mode', { userAgent: CHROME, accept: NAVIGATION }, true],
  ['a browser that accepts anything', { userAgent: CHROME, accept: '*/*' }, true],
  ['a browser without Accept', { userAgent: 'Opera/9.80' }, true],
  ['Internet Explorer', { userAgent: 'MSIE 6.0' }, true],
  ['Edge by its own name only', { userAgent: 'EDGE' }, true],
  [
    'a browser that accepts HTML and JSON',
    { userAgent: CHROME, accept: 'text/html, application/json' },
    true,
  ],
  ['a browser that wants JSON', { userAgent: CHROME, accept: 'application/json' }, false],
  ['a browser that wants JSON in capitals', { userAgent: CHROME, accept: 'Application/JSON' }, false],
  ['fetch with CORS', { userAgent: CHROME, accept: '*/*', secFetchMode: 'cors' }, false],
  ['an image', { userAgent: CHROME, secFetchMode: 'no-cors' }, false],
  ['fetch of the same origin', { userAgent: CHROME, secFetchMode: 'same-origin' }, false],
  ['a WebSocket', { userAgent: CHROME, secFetchMode: 'websocket' }, false],
  ['XMLHttpRequest of an old browser', { userAgent: CHROME, xRequestedWith: 'XMLHttpRequest' }, false],
  [
    'a navigation in an app that sends X-Requested-With',
    { userAgent: CHROME, secFetchMode: 'navigate', xRequestedWith: 'com.app' },
    true,
  ],
  ['curl', { userAgent: 'curl/8.5.0', accept: '*/*' }, false],
  ['the SDK', { userAgent: 'e2b-js-sdk/2.51.0' }, false],
  ['curl that asks for HTML', { userAgent: 'curl/8.5.0', accept: 'text/html' }, false],
  ['nothing at all', {}, false],
])('%s', (_, given, page) => {
  expect(wantsPage(hints(given))).toBe(page);
});
