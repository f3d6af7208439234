import { PORTS } from '@islet/contracts';
import { startDaemon } from './daemon.ts';
import { createLogger } from './log/logger.ts';

const logger = createLogger({ level: 'warn', write: (l) => process.stderr.write(l), now: Date.now });
const daemon = await startDaemon({
  port: Number(process.env.ISLET_ENVD_PORT ?? PORTS.envd),
  host: '::',
  logger,
  path: process.env.PATH,
});
console.log('listening', daemon.port);
