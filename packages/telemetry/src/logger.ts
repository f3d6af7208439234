import { type DestinationStream, type Logger as PinoLogger, pino } from 'pino';

export type Logger = PinoLogger;

export interface LoggerOptions {
  /** The service's name, in every record. */
  service: string;
  level: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  destination?: DestinationStream;
}

/** Paths that may hold secrets; their values never reach a log. */
const REDACTED = [
  '*.envdAccessToken',
  '*.trafficAccessToken',
  '*.apiKey',
  '*.envVars',
  'headers.authorization',
];

/** A JSON-lines logger. */
export function createLogger(options: LoggerOptions): Logger {
  const settings = { name: options.service, level: options.level, redact: REDACTED, base: null };
  return options.destination ? pino(settings, options.destination) : pino(settings);
}
