import { trace } from '@opentelemetry/api';
import { type DestinationStream, type Logger as PinoLogger, pino } from 'pino';

export type Logger = PinoLogger;

export interface LoggerOptions {
  /** The service's name, in every record. */
  service: string;
  level: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  destination?: DestinationStream;
  /** Takes each line as well; absent: nobody does. It must not throw. */
  copy?: ((line: string) => void) | undefined;
}

/** Paths that may hold secrets; their values never reach a log. */
const REDACTED = [
  '*.envdAccessToken',
  '*.trafficAccessToken',
  '*.apiKey',
  '*.envVars',
  'headers.authorization',
];

/** A JSON-lines logger. What is logged within a span bears its ids. */
export function createLogger({ service, level, destination, copy }: LoggerOptions): Logger {
  const settings = { name: service, level, redact: REDACTED, base: null, mixin: idsOfSpan };
  if (!copy) return destination ? pino(settings, destination) : pino(settings);
  const out = destination ?? pino.destination(1);
  return pino(settings, {
    write(line: string) {
      out.write(line);
      copy(line);
    },
  });
}

function idsOfSpan(): object {
  const context = trace.getActiveSpan()?.spanContext();
  return context ? { trace_id: context.traceId, span_id: context.spanId } : {};
}
