import type { LogLevel } from '../builds/build-log.ts';

/** Takes what a build has to tell; `share` (0…1) if the phase knows how far it is. */
export type Report = (level: LogLevel, phase: string, message: string, share?: number) => void;
