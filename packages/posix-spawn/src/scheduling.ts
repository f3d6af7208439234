import koffi from 'koffi';
import { openProgram, SystemError } from './libc.ts';

/** How the kernel lets an ordinary thread run beside others. */
export interface Schedule {
  /** -20 to 19: each step less is a share of the processor that is a quarter larger. */
  nice: number;
  /**
   * How long it runs before others have their turn, ns, 100,000 to 100,000,000; the kernel's own choice if undefined. Who
   * asks for short turns gets them soon: it goes before a thread with longer ones when it wakes. Its share stays the
   * same. Linux 6.12; older kernels ignore it.
   */
  sliceNs: number | undefined;
  /** What it starts, threads and programs, has neither: it has nice 0, if this was less, and the kernel's own slice. */
  keepsItToItself: boolean;
}

/** Reads and sets the schedules of threads: by their ids, 0 for the calling one. */
export interface Scheduling {
  /** @throws SystemError if there is no such thread. */
  get(thread: number): Schedule;
  /** @throws SystemError if there is no such thread, or it may not be favoured so (CAP_SYS_NICE). */
  set(thread: number, schedule: Schedule): void;
}

/** Numbers of sched_setattr and sched_getattr, which only new C libraries have. */
const CALLS: Readonly<Record<string, { set: number; get: number }>> = {
  x64: { set: 314, get: 315 },
  arm64: { set: 274, get: 275 },
};

const RESET_ON_FORK = 1n;

/** Of struct sched_attr, its first version. */
const ATTRIBUTES_BYTES = 48;
const AT = { size: 0, flags: 8, nice: 16, runtime: 24 } as const;

export function openScheduling(): Scheduling {
  const call = openProgram().func('long syscall(long, long, void *, long, long)');
  const numbers = CALLS[process.arch];
  if (!numbers) throw new Error(`the system calls of ${process.arch} are not known`);
  const must = (name: string, result: number) => {
    if (result !== 0) throw new SystemError(name, koffi.errno());
  };
  return {
    get(thread) {
      const attributes = Buffer.alloc(ATTRIBUTES_BYTES);
      must('sched_getattr', call(numbers.get, thread, attributes, ATTRIBUTES_BYTES, 0));
      const runtime = Number(attributes.readBigUInt64LE(AT.runtime));
      return {
        nice: attributes.readInt32LE(AT.nice),
        sliceNs: runtime === 0 ? undefined : runtime,
        keepsItToItself: (attributes.readBigUInt64LE(AT.flags) & RESET_ON_FORK) !== 0n,
      };
    },
    set(thread, { nice, sliceNs, keepsItToItself }) {
      const attributes = Buffer.alloc(ATTRIBUTES_BYTES);
      attributes.writeUInt32LE(ATTRIBUTES_BYTES, AT.size);
      attributes.writeBigUInt64LE(keepsItToItself ? RESET_ON_FORK : 0n, AT.flags);
      attributes.writeInt32LE(nice, AT.nice);
      attributes.writeBigUInt64LE(BigInt(sliceNs ?? 0), AT.runtime);
      must('sched_setattr', call(numbers.set, thread, attributes, 0, 0));
    },
  };
}
