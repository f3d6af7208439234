import { openPosixSpawn, type SpawnRequest } from '@islet/posix-spawn';
import type { Account } from '../accounts/account.ts';
import type { Credentials } from './credentials.ts';

export interface SpawnPlan extends SpawnRequest {
  account: Account;
}

/** Starts programs as other users, without copying envd's address space. */
export interface Spawner {
  /**
   * Starts a program as a session leader.
   * @returns its pid.
   * @throws SystemError with the errno of the step that failed, the execution included.
   */
  spawn(plan: SpawnPlan): number;
}

export function createSpawner(credentials: Credentials): Spawner {
  const spawn = openPosixSpawn({ session: 'own' });
  return { spawn: (plan) => credentials.become(plan.account, () => spawn(plan)) };
}
