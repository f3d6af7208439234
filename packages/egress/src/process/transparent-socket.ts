import { openProgram, SystemError } from '@islet/posix-spawn';
import koffi from 'koffi';

/** socket(7), ip(7). */
const [AF_INET, SOCK_STREAM, SOCK_NONBLOCK, SOCK_CLOEXEC] = [2, 1, 0o4000, 0o2000000];
const [SOL_SOCKET, SO_REUSEADDR, SOL_IP, IP_TRANSPARENT] = [1, 2, 0, 19];
const ADDRESS_BYTES = 16;
const LOOPBACK = [127, 0, 0, 1];
/** The kernel cuts it to net.core.somaxconn. */
const BACKLOG = 4096;

export interface ListeningSocket {
  /** Closed in programs that are started, unless it is given to them. */
  descriptor: number;
  port: number;
}

/**
 * A socket that gets connections to any address, as the firewall's `tproxy` sends them to it: the local address of an accepted one
 * is where the other side dialled. It listens from now on: connections wait for whoever accepts them.
 * @param port of 127.0.0.1; a free one if it is 0
 * @throws SystemError without CAP_NET_ADMIN, or if the port is taken
 */
export function openTransparentSocket(port: number): ListeningSocket {
  const program = openProgram();
  const socket = program.func('int socket(int, int, int)');
  const setsockopt = program.func('int setsockopt(int, int, int, void *, uint)');
  const bind = program.func('int bind(int, void *, uint)');
  const listen = program.func('int listen(int, int)');
  const getsockname = program.func('int getsockname(int, void *, void *)');
  const close = program.func('int close(int)');
  const must = (name: string, result: number) => {
    if (result === -1) throw new SystemError(name, koffi.errno());
    return result;
  };

  const descriptor = must('socket', socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  try {
    const on = Buffer.alloc(4);
    on.writeInt32LE(1);
    must('SO_REUSEADDR', setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, on, on.length));
    must('IP_TRANSPARENT', setsockopt(descriptor, SOL_IP, IP_TRANSPARENT, on, on.length));
    const address = Buffer.alloc(ADDRESS_BYTES);
    address.writeUInt16LE(AF_INET, 0);
    address.writeUInt16BE(port, 2);
    address.set(LOOPBACK, 4);
    must('bind', bind(descriptor, address, address.length));
    must('listen', listen(descriptor, BACKLOG));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(ADDRESS_BYTES);
    must('getsockname', getsockname(descriptor, address, length));
    return { descriptor, port: address.readUInt16BE(2) };
  } catch (error) {
    close(descriptor);
    throw error;
  }
}
