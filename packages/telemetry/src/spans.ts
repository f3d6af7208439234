import {
  type Attributes,
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';

/** Which part of Islet a span is of. */
export type Part = 'api' | 'node' | 'driver' | 'envd' | 'builds';

export interface SpanOptions {
  part: Part;
  name: string;
  /** What the span's part is to it: it answers it, it asks for it, or (absent) does it itself. */
  kind?: 'server' | 'client';
  attributes?: Attributes;
  /** Under which it is; absent: under the one that is active. */
  parent?: Context;
}

const KINDS = { server: SpanKind.SERVER, client: SpanKind.CLIENT };

/** Begins a span. Whoever begins it ends it. */
export function beginSpan({ part, name, kind, attributes, parent }: SpanOptions): Span {
  const options = { kind: kind ? KINDS[kind] : SpanKind.INTERNAL, ...(attributes && { attributes }) };
  return trace.getTracer(`islet.${part}`).startSpan(name, options, parent ?? context.active());
}

/** Does something within a span, which is active meanwhile. An error is noted on it and thrown on. */
export async function inSpan<T>(options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T> {
  const span = beginSpan(options);
  try {
    return await within(span, () => work(span));
  } catch (error) {
    markFailed(span, error);
    throw error;
  } finally {
    span.end();
  }
}

/** As `inSpan` if that is a part of something that is traced, else without: what happens by itself makes no traces. */
export function inChildSpan<T>(options: SpanOptions, work: () => Promise<T>): Promise<T> {
  return isTraced() ? inSpan(options, work) : work();
}

/** Runs something with a span as the active one. */
export function within<T>(span: Span, work: () => T): T {
  return context.with(trace.setSpan(context.active(), span), work);
}

/** Runs what only happens to begin now, such as the care for a pool, outside of whatever is traced. */
export function apart<T>(work: () => T): T {
  return context.with(ROOT_CONTEXT, work);
}

/** Whether a span is active. */
export function isTraced(): boolean {
  return trace.getActiveSpan() !== undefined;
}

/** Notes something on the active span, if there is one. */
export function annotate(attributes: Attributes): void {
  trace.getActiveSpan()?.setAttributes(attributes);
}

/** An error's message may hold what a tenant wrote; its first line says enough. */
const MAX_MESSAGE = 300;

export function markFailed(span: Span, error: unknown): void {
  const { name, message } = error instanceof Error ? error : { name: 'Error', message: String(error) };
  const line = message.split('\n', 1)[0]?.slice(0, MAX_MESSAGE) ?? '';
  span.setAttribute('error.type', name);
  span.setStatus({ code: SpanStatusCode.ERROR, message: line });
}

/** Writes down the active span in the headers of a request (W3C `traceparent`). */
export function injectInto(set: (name: string, value: string) => void): void {
  propagation.inject(context.active(), undefined, { set: (_, name, value) => set(name, value) });
}

/** What the headers of a request say of the span that it was sent within (W3C `traceparent`). */
export function extractFrom(get: (name: string) => string | undefined): Context {
  return propagation.extract(ROOT_CONTEXT, undefined, {
    get: (_, name) => get(name),
    keys: () => ['traceparent', 'tracestate'],
  });
}

/** Whether a context has a span. */
export function hasSpan(of: Context): boolean {
  return trace.getSpanContext(of) !== undefined;
}
