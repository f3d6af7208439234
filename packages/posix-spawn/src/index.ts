export { errnoName, openProgram, SystemError } from './libc.ts';
export { replaceProcess } from './replace.ts';
export { openScheduling, type Schedule, type Scheduling } from './scheduling.ts';
export { type ChildStep, openPosixSpawn, type PosixSpawn, type SpawnRequest } from './spawn.ts';
export { idsOfNamespace, userOf } from './users.ts';
export { type EndedChild, openWaitpid, type Waited, type Waitpid, type WaitStatus } from './wait.ts';
