import { closeSync, openSync } from 'node:fs';
import { openProgram, SystemError } from '@islet/posix-spawn';
import koffi from 'koffi';

/** A TCP socket that listens in another network namespace. The caller closes the descriptor. */
export type ListenIn = (netns: string, address: string, port: number) => number;

const CLONE_NEWNET = 0x40000000;
const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const BACKLOG = 16;

/**
 * A socket belongs to the namespace that it was made in, whoever uses it later. So this thread goes there for the three calls, all in
 * one turn, and comes back. @throws SystemError
 */
export function createListenIn(): ListenIn {
  const program = openProgram();
  const setns = program.func('int setns(int, int)');
  const newSocket = program.func('int socket(int, int, int)');
  const setsockopt = program.func('int setsockopt(int, int, int, const void *, uint)');
  const bind = program.func('int bind(int, const void *, uint)');
  const listen = program.func('int listen(int, int)');
  const parseAddress = program.func('int inet_pton(int, const char *, void *)');
  const close = program.func('int close(int)');
  const checked = (call: string, result: number): number => {
    if (result < 0) throw new SystemError(call, koffi.errno());
    return result;
  };

  const listening = (address: string, port: number): number => {
    const descriptor = checked('socket', newSocket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    try {
      // What an earlier Islet listened for may still have connections that are closing.
      const on = Buffer.from([1, 0, 0, 0]);
      checked('setsockopt', setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, on, on.length));
      const where = Buffer.alloc(16);
      where.writeUInt16LE(AF_INET, 0);
      where.writeUInt16BE(port, 2);
      if (parseAddress(AF_INET, address, where.subarray(4)) !== 1)
        throw new RangeError(`not an IPv4 address: ${address}`);
      checked('bind', bind(descriptor, where, where.length));
      checked('listen', listen(descriptor, BACKLOG));
      return descriptor;
    } catch (error) {
      close(descriptor);
      throw error;
    }
  };

  return (netns, address, port) => {
    const home = openSync('/proc/thread-self/ns/net', 'r');
    const there = openSync(`/run/netns/${netns}`, 'r');
    try {
      checked('setns', setns(there, CLONE_NEWNET));
      try {
        return listening(address, port);
      } finally {
        checked('setns', setns(home, CLONE_NEWNET));
      }
    } finally {
      closeSync(there);
      closeSync(home);
    }
  };
}
