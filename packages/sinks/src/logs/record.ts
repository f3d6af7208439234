import type { SandboxLog } from '@islet/contracts';
import type { LogRecord } from './logs.ts';

/** What is kept of what a node has noted. */
export function logRecordOf({
  sandboxId,
  teamId,
  timeMs,
  level,
  logger,
  message,
  fields,
}: SandboxLog): LogRecord {
  const timestamp = new Date(timeMs).toISOString();
  const line = JSON.stringify({
    ...fields,
    timestamp,
    level,
    logger,
    message,
    sandboxID: sandboxId,
    teamID: teamId,
  });
  return { timeMs, level, message, fields: { ...fields, logger }, line };
}
