import type { LogLevel } from '../builds/build-log.ts';

/** Takes what a build has to tell. */
export type Report = (level: LogLevel, phase: string, message: string) => void;
