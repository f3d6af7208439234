import { type Context, ROOT_CONTEXT, TraceFlags, trace } from '@opentelemetry/api';
import { type Logger, type LogRecord, SeverityNumber } from '@opentelemetry/api-logs';

/** pino's levels, ascending. */
const SEVERITIES = [
  [20, SeverityNumber.DEBUG, 'DEBUG'],
  [30, SeverityNumber.INFO, 'INFO'],
  [40, SeverityNumber.WARN, 'WARN'],
  [50, SeverityNumber.ERROR, 'ERROR'],
  [60, SeverityNumber.FATAL, 'FATAL'],
] as const;

/** A log record for each line of the log, which has been cleared of secrets. */
export function recordLines(logger: Logger): (line: string) => void {
  return (line) => logger.emit(toRecord(JSON.parse(line) as Record<string, unknown>));
}

function toRecord(fields: Record<string, unknown>): LogRecord {
  const { level, time, msg, name: _, trace_id: traceId, span_id: spanId, ...others } = fields;
  const [, severityNumber, severityText] =
    SEVERITIES.findLast(([from]) => Number(level) >= from) ?? SEVERITIES[0];
  return {
    timestamp: Number(time),
    severityNumber,
    severityText,
    body: String(msg ?? ''),
    attributes: attributesOf(others),
    context: contextOf(traceId, spanId),
  };
}

/** By the names of OpenTelemetry; what is more than a value is JSON. */
function attributesOf({ err, sandboxId, ...others }: Record<string, unknown>) {
  const attributes: Record<string, string | number | boolean> = {};
  if (typeof sandboxId === 'string') attributes['sandbox.id'] = sandboxId;
  if (typeof err === 'object' && err !== null) {
    const { type, message, stack } = err as Record<string, unknown>;
    attributes['exception.type'] = String(type);
    attributes['exception.message'] = String(message);
    if (typeof stack === 'string') attributes['exception.stacktrace'] = stack;
  }
  for (const [name, value] of Object.entries(others)) {
    const isPlain = ['string', 'number', 'boolean'].includes(typeof value);
    attributes[name] = isPlain ? (value as string) : JSON.stringify(value);
  }
  return attributes;
}

function contextOf(traceId: unknown, spanId: unknown): Context {
  if (typeof traceId !== 'string' || typeof spanId !== 'string') return ROOT_CONTEXT;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: TraceFlags.SAMPLED });
}
