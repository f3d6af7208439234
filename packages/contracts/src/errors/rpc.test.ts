import { Code, ConnectError } from '@connectrpc/connect';
import { expect, it } from 'vitest';
import { IsletError } from './error.ts';
import { fromConnectError, toConnectError } from './rpc.ts';

it('keeps status, message and error code over the wire', () => {
  const sent = new IsletError(503, 'no room', { errorCode: 'sandbox_capacity_unavailable' });
  const received = fromConnectError(toConnectError(sent));
  expect(received).toMatchObject({
    status: 503,
    message: 'no room',
    errorCode: 'sandbox_capacity_unavailable',
  });
});

it('maps foreign errors by their code', () => {
  expect(fromConnectError(new ConnectError('x', Code.NotFound)).status).toBe(404);
  expect(fromConnectError(new Error('boom')).status).toBe(500);
});
