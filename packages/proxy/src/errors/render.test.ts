import { controlPlaneUnavailable, IsletError } from '@islet/contracts';
import { expect, it } from 'vitest';
import {
  portClosed,
  reservedEndpoint,
  routingFailed,
  sandboxGone,
  sandboxMoved,
  tooManyConnections,
} from './proxy-error.ts';
import { renderError } from './render.ts';

const program = { accept: '*/*', userAgent: 'curl', secFetchMode: undefined, xRequestedWith: undefined };
const browser = { ...program, userAgent: 'Mozilla/5.0' };

it('renders fields in the order that the protocol shows them', () => {
  expect(renderError(sandboxGone('ia'), program).body).toBe(
    '{"sandboxId":"ia","message":"The sandbox was not found","code":502}',
  );
  expect(renderError(portClosed('ia', 3000), program).body).toBe(
    '{"sandboxId":"ia","message":"The sandbox is running but port is not open","port":3000,"code":502}',
  );
  expect(JSON.parse(renderError(tooManyConnections('ia', 7), program).body)).toMatchObject({
    connectionLimit: 7,
    code: 429,
  });
});

it('renders pages that stand alone and are whole documents', () => {
  for (const error of [sandboxGone('ia'), portClosed('ia', 3000), tooManyConnections('ia', 1)]) {
    const { body, contentType } = renderError(error, browser);
    expect(contentType).toBe('text/html; charset=utf-8');
    expect(body).toMatch(/^<html[\s\S]*<\/html>$/);
    expect(body).not.toMatch(/(?:src|href)=|url\(|@import/);
    expect(body).toContain('ia');
  }
});

it('shows nothing from the request as markup', () => {
  const { body } = renderError(sandboxGone('<script>alert("x")</script>'), browser);
  expect(body).not.toContain('<script>');
  expect(body).toContain('&lt;script&gt;');
});

it('has no pages for what programs call', () => {
  expect(renderError(reservedEndpoint('/init'), browser).contentType).toBe('application/json; charset=utf-8');
  expect(renderError(routingFailed(new Error('x')), browser)).toEqual({
    status: 502,
    contentType: 'text/plain; charset=utf-8',
    body: 'Failed to route request to sandbox',
  });
});

it('shows the text of our own errors and of no others', () => {
  expect(renderError(new IsletError(400, 'Invalid host'), program)).toMatchObject({
    status: 400,
    body: 'Invalid host',
  });
  const internal = renderError(new TypeError('secret in here'), program);
  expect(internal.status).toBe(500);
  expect(internal.body).not.toContain('secret');
});

it('says when to try again what is away for a moment', () => {
  expect(renderError(sandboxMoved('ia'), program)).toMatchObject({ status: 503, retryAfterS: 1 });
  expect(renderError(controlPlaneUnavailable(undefined), browser)).toMatchObject({
    status: 503,
    retryAfterS: 1,
  });
  expect(renderError(sandboxGone('ia'), program).retryAfterS).toBeUndefined();
});
