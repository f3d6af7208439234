import { newSandbox, type Sandbox, sandboxMoving } from '@islet/contracts';
import { expect, it } from 'vitest';
import { steadySandbox, withSteadySandbox } from './steady.ts';

const sandbox = (moving: boolean) => newSandbox({ config: { sandboxId: 's' }, moving });

/**
 * What an API knows of a sandbox that is moved again and again.
 * @param moveMs how long each move takes by the clock, which goes on with each look
 */
function movedAgain(moveMs: number, moves: number) {
  let now = 0;
  let left = moves;
  let until = moveMs;
  return {
    clock: { now: () => now, monotonic: () => now },
    sandboxes: {
      get: (): Sandbox => {
        now += 1_000;
        return sandbox(now < until);
      },
    },
    current: {
      find: async (): Promise<Sandbox> => {
        until = now + moveMs;
        return sandbox(--left > 0);
      },
    },
  } as unknown as Parameters<typeof steadySandbox>[0];
}

it('waits for a sandbox that is moved twice', async () => {
  expect((await steadySandbox(movedAgain(5_000, 2), sandbox(true))).moving).toBe(false);
});

it('waits as long for several moves as for one', async () => {
  const refused = { status: 409, errorCode: 'sandbox_moving' };
  await expect(steadySandbox(movedAgain(40_000, 3), sandbox(true))).rejects.toMatchObject(refused);
  const attempt = withSteadySandbox(
    movedAgain(40_000, 2),
    async () => sandbox(true),
    async () => {
      throw sandboxMoving('s');
    },
  );
  await expect(attempt).rejects.toMatchObject(refused);
});
