import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { openProgram, SystemError } from '@islet/posix-spawn';
import koffi from 'koffi';

/** Makes a system call in the stopped process. @throws SystemError that names it. */
export type ForeignCall = (name: string, call: number, ...args: readonly bigint[]) => bigint;

/** ptrace(2) and its headers, x86-64. */
const PTRACE = {
  singleStep: 9,
  getRegisters: 12,
  setRegisters: 13,
  detach: 17,
  seize: 0x4206,
  interrupt: 0x4207,
};
const WAIT_ALL = 0x40000000;
const SIGTRAP = 5;

/** Places in user_regs_struct, in words of 8 bytes. */
const REGISTER = {
  r10: 7,
  r9: 8,
  r8: 9,
  rax: 10,
  rdx: 12,
  rsi: 13,
  rdi: 14,
  originalRax: 15,
  rip: 16,
  rsp: 19,
};
const REGISTERS = 27;
const ARGUMENTS = [REGISTER.rdi, REGISTER.rsi, REGISTER.rdx, REGISTER.r10, REGISTER.r8, REGISTER.r9] as const;

/** The instruction `syscall`. */
const SYSCALL = Buffer.from([0x0f, 0x05]);
/** Below the stack's end lie 128 bytes that its owner may use. */
const RED_ZONE = 4096n;
const MAX_ERRNO = 4095n;
const TRIES = 1000;

/**
 * Stops a process while it waits in a system call, has it make others, and lets it wait on: its state is as before. A string
 * for such a call can be put at `scratch`. For what the kernel lets a process do with its own memory only.
 * Only its main thread is stopped, so the others must be known to be idle. x86-64. Needs root.
 * @throws SystemError where a call fails; Error where the process does not come to wait within some seconds.
 */
export async function withForeignCalls<T>(
  pid: number,
  use: (call: ForeignCall, scratch: { address: bigint; put(text: string): void }) => T,
): Promise<T> {
  const tracer = openTracer(pid);
  const memory = openSync(`/proc/${pid}/mem`, 'r+');
  try {
    for (let tries = 0; tries < TRIES; tries++) {
      tracer.stop();
      try {
        const before = tracer.registers();
        const at = before[REGISTER.rip] as bigint;
        if (waitsInCall(memory, at)) {
          const address = (before[REGISTER.rsp] as bigint) - RED_ZONE;
          const put = (text: string) =>
            void writeSync(memory, Buffer.from(`${text}\0`), 0, null, Number(address));
          try {
            return use((name, call, ...args) => makeCall(tracer, before, name, call, args), { address, put });
          } finally {
            tracer.setRegisters(before);
          }
        }
      } finally {
        tracer.letGo();
      }
      await sleep(2);
    }
  } finally {
    closeSync(memory);
  }
  throw new Error(`process ${pid} does not come to wait for anything`);
}

interface Tracer {
  stop(): void;
  letGo(): void;
  step(): void;
  registers(): BigUint64Array;
  setRegisters(registers: BigUint64Array): void;
}

function openTracer(pid: number): Tracer {
  const program = openProgram();
  const ptrace = program.func('long ptrace(long, int, size_t, void *)');
  const waitpid = program.func('int waitpid(int, _Out_ int *, int)');
  const request = (name: keyof typeof PTRACE, data: Uint8Array | null = null) => {
    if (ptrace(PTRACE[name], pid, 0, data) === -1) throw new SystemError(`ptrace ${name}`, koffi.errno());
  };
  const wait = () => {
    const status: [number] = [0];
    if (waitpid(pid, status, WAIT_ALL) === -1) throw new SystemError('waitpid', koffi.errno());
    if ((status[0] & 0xff) !== 0x7f) throw new Error(`process ${pid} ended`);
    return (status[0] >> 8) & 0xff;
  };
  return {
    stop() {
      request('seize');
      request('interrupt');
      wait();
    },
    letGo: () => request('detach'),
    step() {
      request('singleStep');
      const signal = wait();
      if (signal !== SIGTRAP) throw new Error(`process ${pid} got signal ${signal}`);
    },
    registers() {
      const bytes = new Uint8Array(REGISTERS * 8);
      request('getRegisters', bytes);
      return new BigUint64Array(bytes.buffer);
    },
    setRegisters: (registers) => request('setRegisters', new Uint8Array(registers.buffer)),
  };
}

function waitsInCall(memory: number, instructionPointer: bigint): boolean {
  const before = Buffer.alloc(SYSCALL.length);
  readSync(memory, before, 0, before.length, instructionPointer - BigInt(before.length));
  return before.equals(SYSCALL);
}

/** Runs the instruction again that the process waits in, with other registers. */
function makeCall(
  tracer: Tracer,
  before: BigUint64Array,
  name: string,
  call: number,
  args: readonly bigint[],
): bigint {
  const registers = BigUint64Array.from(before);
  registers[REGISTER.rip] = (before[REGISTER.rip] as bigint) - BigInt(SYSCALL.length);
  registers[REGISTER.rax] = BigInt(call);
  // Otherwise the kernel would begin the interrupted call anew.
  registers[REGISTER.originalRax] = BigInt.asUintN(64, -1n);
  for (const [i, argument] of args.entries()) registers[ARGUMENTS[i] as number] = argument;
  tracer.setRegisters(registers);
  tracer.step();
  const result = BigInt.asIntN(64, tracer.registers()[REGISTER.rax] as bigint);
  if (result < 0n && result >= -MAX_ERRNO) throw new SystemError(name, Number(-result));
  return result;
}
