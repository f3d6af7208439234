import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { MachineUsers } from './machine-users.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-users-'));
});
afterEach(() => rm(dir, { recursive: true }));

/** Two ids that want the same user: among a hundred thousand there are some. */
function twins(): [string, string] {
  const seen = new Map<number, string>();
  for (let i = 0; ; i++) {
    const id = `machine-${i}`;
    const wanted = crc32(id) % 2 ** 29;
    const other = seen.get(wanted);
    if (other !== undefined) return [other, id];
    seen.set(wanted, id);
  }
}

it('gives no two machines the same user, also after a restart', async () => {
  const [one, other] = twins();
  for (const id of [one, other]) await mkdir(join(dir, id));
  const users = await MachineUsers.open(dir);
  for (const id of [one, other]) users.release(id);
  const uids = [await users.take(one), await users.take(other)];
  expect(new Set(uids).size).toBe(2);
  expect([users.of(one), users.of(other)]).toEqual(uids);
  const again = await MachineUsers.open(dir);
  expect([again.of(one), again.of(other)]).toEqual(uids);
  again.release(one);
  expect(() => again.of(one)).toThrow('has no user');
  expect(await again.take(one)).toBe(uids[0]);
});
