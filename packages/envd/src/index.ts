export { type Daemon, type DaemonOptions, startDaemon } from './daemon.ts';
export { createLogger, type Logger, type LogLevel } from './log/logger.ts';
