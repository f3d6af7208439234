import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { openProgram, SystemError } from '@islet/posix-spawn';
import koffi from 'koffi';

/** Makes a system call in the stopped process. @throws SystemError that names it. */
export type ForeignCall = (name: string, call: number, ...args: readonly bigint[]) => bigint;

/** A system call that is made with others: its name for errors, number and arguments. */
export interface PlannedCall {
  name: string;
  call: number;
  args: readonly bigint[];
}

/** What can be done in a stopped process. */
export interface StoppedProcess {
  call: ForeignCall;
  /**
   * Makes many calls in one go: to stop after each takes 20 µs, and on a busy host as many turns of its scheduler. All are made, whether one
   * fails or not. @throws SystemError that names the first one which failed.
   */
  callAll(calls: readonly PlannedCall[]): void;
  /** A place for a string that a call takes. */
  scratch: { address: bigint; put(text: string): void };
}

/** ptrace(2) and its headers, x86-64. */
const PTRACE = {
  continue: 7,
  singleStep: 9,
  getRegisters: 12,
  setRegisters: 13,
  detach: 17,
  seize: 0x4206,
  interrupt: 0x4207,
};
/** Where this process ends meanwhile, the other one does, too: it would go on with registers that are not its own. */
const EXIT_KILL = 0x00100000;
const WAIT_ALL = 0x40000000;
const NO_HANG = 1;
const SIGTRAP = 5;

/** Places in user_regs_struct, in words of 8 bytes. */
const REGISTER = {
  rbp: 4,
  rbx: 5,
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
/** As the original rax: otherwise the kernel would begin the interrupted call anew. */
const NOT_IN_A_CALL = BigInt.asUintN(64, -1n);
const ARGUMENTS = [REGISTER.rdi, REGISTER.rsi, REGISTER.rdx, REGISTER.r10, REGISTER.r8, REGISTER.r9] as const;

/** The instruction `syscall`. */
const SYSCALL = Buffer.from([0x0f, 0x05]);
/** Goes through a table of calls, from `rbx` to `rbp`: number, six arguments; puts the result in the number's place. */
const LOOP = Buffer.from(
  [
    '488b03', // mov rax, [rbx]
    '488b7b08', // mov rdi, [rbx + 8]
    '488b7310', // mov rsi, [rbx + 16]
    '488b5318', // mov rdx, [rbx + 24]
    '4c8b5320', // mov r10, [rbx + 32]
    '4c8b4328', // mov r8, [rbx + 40]
    '4c8b4b30', // mov r9, [rbx + 48]
    '0f05', // syscall
    '488903', // mov [rbx], rax
    '4883c338', // add rbx, 56
    '4839eb', // cmp rbx, rbp
    '72d7', // jb to the first instruction
    'cc', // int3
  ].join(''),
  'hex',
);
const TABLE_AT = 64;
const ENTRY_WORDS = 7;

/** What the loop needs of x86-64's system calls, to be run from a place of its own. */
const [MMAP, MUNMAP] = [9, 11];
const [READ_WRITE_EXECUTE, PRIVATE_ANONYMOUS, NO_FILE] = [7n, 0x22n, BigInt.asUintN(64, -1n)];

/** Below the stack's end lie 128 bytes that its owner may use. */
const RED_ZONE = 4096n;
const MAX_ERRNO = 4095n;
const TRIES = 1000;

/** How long a process that is to be stopped may be in the kernel, ms; others of this process's work goes on meanwhile. */
const STOP_DEADLINE_MS = 30_000;
/** How long the calls may take, on a very busy host, ms: this thread waits for them. */
const CALL_DEADLINE_MS = 10_000;
/** For a process that was killed to be gone, ms. */
const DEATH_DEADLINE_MS = 1_000;
/** Between two looks at it, ms; the first ones come at once. */
const LOOK_MS = 0.1;
const QUICK_LOOKS = 200;

/**
 * Stops a process while it waits in a system call, has it make others, and lets it wait on: its state is as before. For what the kernel lets a process do with its own memory only.
 * Only its main thread is stopped, so the others must be known to be idle. x86-64. Needs root.
 * @param pid of no child of this process, whose stop Node would take for its end
 * @param callDeadlineMs a call that takes longer is none that ends: the process is killed, since nobody could give it its registers back
 * @throws SystemError if a call fails; Error if the process does not come to wait within some seconds, or was killed.
 */
export async function withForeignCalls<T>(
  pid: number,
  use: (stopped: StoppedProcess) => T,
  callDeadlineMs = CALL_DEADLINE_MS,
): Promise<T> {
  const tracer = openTracer(pid, callDeadlineMs);
  const memory = openSync(`/proc/${pid}/mem`, 'r+');
  try {
    for (let tries = 0; tries < TRIES; tries++) {
      await tracer.stop();
      try {
        const before = tracer.registers();
        const at = before[REGISTER.rip] as bigint;
        if (waitsInCall(memory, at)) {
          const address = (before[REGISTER.rsp] as bigint) - RED_ZONE;
          const put = (text: string) =>
            void writeSync(memory, Buffer.from(`${text}\0`), 0, null, Number(address));
          try {
            const call: ForeignCall = (name, number, ...args) => makeCall(tracer, before, name, number, args);
            const callAll = (calls: readonly PlannedCall[]) => makeCalls(tracer, memory, before, call, calls);
            return use({ call, callAll, scratch: { address, put } });
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
  stop(): Promise<void>;
  letGo(): void;
  step(): void;
  /** Lets it run up to its next breakpoint. */
  run(): void;
  registers(): BigUint64Array;
  setRegisters(registers: BigUint64Array): void;
}

function openTracer(pid: number, callDeadlineMs: number): Tracer {
  const program = openProgram();
  const ptrace = program.func('long ptrace(long, int, size_t, void *)');
  const ptraceWith = program.func('ptrace', 'long', ['long', 'int', 'size_t', 'size_t']);
  const waitpid = program.func('int waitpid(int, _Out_ int *, int)');
  /** Nothing is left to give back. */
  let gone = false;
  const request = (name: keyof typeof PTRACE, data: Uint8Array | null = null) => {
    if (ptrace(PTRACE[name], pid, 0, data) === -1) throw new SystemError(`ptrace ${name}`, koffi.errno());
  };
  /** The signal that it was stopped with; undefined if it runs. */
  const look = (): number | undefined => {
    const status: [number] = [0];
    const found = waitpid(pid, status, WAIT_ALL | NO_HANG);
    if (found === -1) throw new SystemError('waitpid', koffi.errno());
    if (found === 0) return undefined;
    if ((status[0] & 0xff) === 0x7f) return (status[0] >> 8) & 0xff;
    gone = true;
    throw new Error(`process ${pid} ended`);
  };
  const wait = (deadlineMs: number): number | undefined => {
    const deadline = performance.now() + deadlineMs;
    for (let looks = 0; performance.now() < deadline; looks++) {
      const signal = look();
      if (signal !== undefined) return signal;
      if (looks >= QUICK_LOOKS) sleepHere(LOOK_MS);
    }
    return undefined;
  };
  const end = (why: string): never => {
    process.kill(pid, 'SIGKILL');
    try {
      wait(DEATH_DEADLINE_MS);
    } catch {
      // It ended.
    }
    gone = true;
    throw new Error(`process ${pid} ${why}, and was killed`);
  };
  const untilTrap = (how: keyof typeof PTRACE) => {
    request(how);
    const signal = wait(callDeadlineMs) ?? end(`was not back from its calls within ${callDeadlineMs} ms`);
    if (signal !== SIGTRAP) throw new Error(`process ${pid} got signal ${signal}`);
  };
  return {
    async stop() {
      if (ptraceWith(PTRACE.seize, pid, 0, EXIT_KILL) === -1) {
        throw new SystemError('ptrace seize', koffi.errno());
      }
      request('interrupt');
      const deadline = performance.now() + STOP_DEADLINE_MS;
      for (let looks = 0; look() === undefined; looks++) {
        if (looks < QUICK_LOOKS) continue;
        if (performance.now() > deadline) end(`did not stop within ${STOP_DEADLINE_MS} ms`);
        await sleep(1);
      }
    },
    letGo() {
      if (!gone) request('detach');
    },
    step: () => untilTrap('singleStep'),
    run: () => untilTrap('continue'),
    registers() {
      const bytes = new Uint8Array(REGISTERS * 8);
      request('getRegisters', bytes);
      return new BigUint64Array(bytes.buffer);
    },
    setRegisters(registers) {
      if (!gone) request('setRegisters', new Uint8Array(registers.buffer));
    },
  };
}

/** Keeps this thread: what was stopped has to go on first. */
function sleepHere(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
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
  registers[REGISTER.originalRax] = NOT_IN_A_CALL;
  for (const [i, argument] of args.entries()) registers[ARGUMENTS[i] as number] = argument;
  tracer.setRegisters(registers);
  tracer.step();
  return resultOf(name, tracer.registers()[REGISTER.rax] as bigint);
}

/** Has the process run a loop over the calls, in memory that it gets for that. */
function makeCalls(
  tracer: Tracer,
  memory: number,
  before: BigUint64Array,
  call: ForeignCall,
  calls: readonly PlannedCall[],
): void {
  if (calls.length === 0) return;
  const table = new BigUint64Array(ENTRY_WORDS * calls.length);
  for (const [i, { call: number, args }] of calls.entries()) {
    table.set([BigInt(number), ...args.map((argument) => BigInt.asUintN(64, argument))], ENTRY_WORDS * i);
  }
  const bytes = BigInt(TABLE_AT + table.byteLength);
  const place = call('mmap', MMAP, 0n, bytes, READ_WRITE_EXECUTE, PRIVATE_ANONYMOUS, NO_FILE, 0n);
  try {
    const tableAt = Number(place) + TABLE_AT;
    writeSync(memory, LOOP, 0, LOOP.length, Number(place));
    writeSync(memory, table, 0, table.byteLength, tableAt);
    const registers = BigUint64Array.from(before);
    registers[REGISTER.rip] = place;
    registers[REGISTER.rbx] = BigInt(tableAt);
    registers[REGISTER.rbp] = BigInt(tableAt + table.byteLength);
    registers[REGISTER.originalRax] = NOT_IN_A_CALL;
    tracer.setRegisters(registers);
    tracer.run();
    readSync(memory, table, 0, table.byteLength, tableAt);
    for (const [i, { name }] of calls.entries()) resultOf(name, table[ENTRY_WORDS * i] as bigint);
  } finally {
    call('munmap', MUNMAP, place, bytes);
  }
}

function resultOf(name: string, value: bigint): bigint {
  const result = BigInt.asIntN(64, value);
  if (result < 0n && result >= -MAX_ERRNO) throw new SystemError(name, Number(-result));
  return result;
}
