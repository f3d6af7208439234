export { idsOfNamespace, replaceProcess, userOf } from '@islet/posix-spawn';
export { BoundedLog } from './bounded-log.ts';
export { AHEAD_SHARE, Cgroups } from './cgroups.ts';
export { bytesIn, diskOf, exists, syncDirectory } from './disk.ts';
export { CommandError, type Exec, type HostExec, openHostExec } from './exec.ts';
export { LockHeldError, takeFileLock, waitForFileLock } from './file-lock.ts';
export { withForeignCalls } from './foreign-calls.ts';
export { openForeignMemory, type Place } from './foreign-memory.ts';
export { mountsBelow, readMounts, shareMounts } from './mounts.ts';
export { createOpenBeneath, type OpenBeneath } from './open-beneath.ts';
export {
  findProcesses,
  groupsOf,
  isAlive,
  killAndWait,
  killByPid,
  type ProcessRef,
  ranTicks,
  refProcess,
  setTimerSlack,
  signalGroup,
  waitForExit,
} from './process.ts';
export { type Processor, type ProcessorFeatures, readProcessor, readProcessorFeatures } from './processor.ts';
