import type { Interceptor } from '@connectrpc/connect';
import type { Attributes } from '@opentelemetry/api';
import { extractFrom, hasSpan, injectInto, inSpan, isTraced } from './spans.ts';

/** Has calls that are part of something traced be spans of it, and tells the other side so. Streams are not traced. */
export const traceCalls: Interceptor = (next) => (request) => {
  if (request.stream || !isTraced()) return next(request);
  const attributes = attributesOf(request);
  return inSpan({ part: 'api', name: nameOf(request), kind: 'client', attributes }, async () => {
    injectInto((name, value) => request.header.set(name, value));
    return next(request);
  });
};

/** The other side: a call whose caller has a span is answered within one below it. */
export const traceAnswers: Interceptor = (next) => (request) => {
  if (request.stream) return next(request);
  const parent = extractFrom((name) => request.header.get(name) ?? undefined);
  if (!hasSpan(parent)) return next(request);
  const attributes = attributesOf(request);
  const options = { part: 'node', name: nameOf(request), kind: 'server', attributes, parent } as const;
  return inSpan(options, () => next(request));
};

type Call = Parameters<ReturnType<Interceptor>>[0];

function nameOf({ service, method }: Call): string {
  return `${service.typeName}/${method.name}`;
}

function attributesOf({ service, method, message }: Call): Attributes {
  const { sandboxId, config } = message as { sandboxId?: unknown; config?: { sandboxId?: unknown } };
  const id = sandboxId ?? config?.sandboxId;
  return {
    'rpc.system': 'connect_rpc',
    'rpc.service': service.typeName,
    'rpc.method': method.name,
    ...(typeof id === 'string' && { 'sandbox.id': id }),
  };
}
