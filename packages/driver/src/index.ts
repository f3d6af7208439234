export { assertIntact, DamagedSnapshotError, type FileSums, sumFile, sumFiles } from './checksums.ts';
export { CPU_PERIOD_US, cpuQuotaUs } from './cpu-quota.ts';
export type { Machine, MachineSpec, Pace, SandboxDriver, WritableRoot } from './driver.ts';
export { GUEST_MOUNT, guestNodeCommand, linkerName } from './guest.ts';
export type { DriverHost, DriverKind, DriverSite, FoundDriver } from './kind.ts';
export { MissingFileError } from './missing-file.ts';
export { processLimit } from './process-limit.ts';
