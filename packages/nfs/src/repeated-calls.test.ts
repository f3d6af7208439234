import { expect, it } from 'vitest';
import { RepeatedCalls } from './repeated-calls.ts';

const call = (xid: number, text: string) => {
  const record = Buffer.alloc(4 + text.length, text);
  record.writeUInt32BE(xid);
  record.write(text, 4);
  return record;
};

it('are carried out once, while the first is under way and when it is done', async () => {
  const calls = new RepeatedCalls();
  const done: string[] = [];
  const work = async (record: Buffer) => {
    await new Promise(setImmediate);
    done.push(record.toString('utf8', 4));
    return Buffer.from(`${done.length}`);
  };
  const [first, again] = await Promise.all([1, 1].map((xid) => calls.answer(call(xid, 'mkdir'), work)));
  expect(await calls.answer(call(1, 'mkdir'), work)).toEqual(first);
  expect(again).toEqual(first);
  // Others have another number, or the number by chance.
  await calls.answer(call(2, 'mkdir'), work);
  await calls.answer(call(1, 'rmdir'), work);
  expect(done).toEqual(['mkdir', 'mkdir', 'rmdir']);
});

it('are forgotten if they failed, hold content, or are long past', async () => {
  const calls = new RepeatedCalls();
  let count = 0;
  const ask = (xid: number, answer: () => Buffer = () => Buffer.from('x')) =>
    calls.answer(call(xid, 'c'), async () => {
      count++;
      return answer();
    });
  const fails = () => {
    throw new Error('refused');
  };
  await expect(ask(1, fails)).rejects.toThrow('refused');
  await ask(1, () => Buffer.alloc(5000));
  await ask(1);
  expect(count).toBe(3);
  await ask(1);
  expect(count).toBe(3);
  for (let xid = 2; xid < 2000; xid++) await ask(xid);
  await ask(1);
  expect(count).toBe(3 + 1998 + 1);
});
