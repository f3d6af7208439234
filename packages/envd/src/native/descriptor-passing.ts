import { chmodSync, closeSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { openProgram } from '@islet/posix-spawn';
import koffi from 'koffi';
import { checked, lastErrno } from './libc.ts';
import { watchReadiness } from './readiness.ts';

/** Who sent a message, as the kernel has verified. */
export interface Peer {
  pid: number;
  uid: number;
  gid: number;
}

/** A connection that brought descriptors along. The receiver closes them. */
export interface Handover {
  peer: Peer;
  descriptors: number[];
  socket: Socket;
}

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const SCM_CREDENTIALS = 2;
const SO_PASSCRED = 16;
const MSG_CMSG_CLOEXEC = 0x40000000;
const EAGAIN = 11;
const BACKLOG = 64;
/** Descriptors in one message; more are cut off by the kernel and closed. */
const MAX_DESCRIPTORS = 3;
/** struct cmsghdr on 64-bit Linux: length (8), level (4), type (4), then the data. */
const CMSG_HEADER_BYTES = 16;
/** Room for one message of descriptors and one of credentials. */
const CONTROL_BYTES = 2 * CMSG_HEADER_BYTES + 16 + 16;

/** Connections over Unix sockets that carry open descriptors from one process to another. */
export interface DescriptorPassing {
  /**
   * Listens on a path that every user may connect to.
   * @returns a function that stops it.
   */
  listen(path: string, onHandover: (handover: Handover) => void): () => void;
  /** Connects to a path and hands over copies of three descriptors. @throws SystemError */
  connect(path: string, descriptors: readonly [number, number, number]): Socket;
}

export function createDescriptorPassing(): DescriptorPassing {
  const program = openProgram();
  const socket = program.func('int socket(int, int, int)');
  const bind = program.func('int bind(int, void *, uint)');
  const listen = program.func('int listen(int, int)');
  const accept4 = program.func('int accept4(int, void *, void *, int)');
  const connect = program.func('int connect(int, void *, uint)');
  const setsockopt = program.func('int setsockopt(int, int, int, void *, uint)');
  const sendmsg = program.func('long sendmsg(int, void *, int)');
  const recvmsg = program.func('long recvmsg(int, void *, int)');

  /** Waits for the descriptors, then hands the connection over. */
  const receive = (fd: number, onHandover: (handover: Handover) => void) => {
    const readiness = watchReadiness(fd, () => {
      const control = Buffer.alloc(CONTROL_BYTES);
      const message = new Message(Buffer.alloc(1), control);
      const length = Number(recvmsg(fd, message.header, MSG_CMSG_CLOEXEC));
      if (length === -1 && lastErrno() === EAGAIN) return;
      readiness.close();
      const { descriptors, peer } = parseControl(control.subarray(0, message.controlLength));
      if (length !== 1 || descriptors.length !== MAX_DESCRIPTORS || !peer) {
        for (const descriptor of [...descriptors, fd]) closeSync(descriptor);
        return;
      }
      onHandover({ peer, descriptors, socket: new Socket({ fd, readable: true, writable: true }) });
    });
    readiness.want({ read: true, write: false });
  };

  return {
    listen(path, onHandover) {
      rmSync(path, { force: true });
      const listener = checked('socket', socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      const address = unixAddress(path);
      checked('bind', bind(listener, address, address.length));
      chmodSync(path, 0o666);
      checked('listen', listen(listener, BACKLOG));
      const readiness = watchReadiness(listener, () => {
        for (;;) {
          const fd: number = accept4(listener, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC);
          if (fd === -1) return;
          // SO_PEERCRED would need nothing of the sender, but gVisor answers it with the receiver's own ids.
          const on = Buffer.of(1, 0, 0, 0);
          checked('setsockopt', setsockopt(fd, SOL_SOCKET, SO_PASSCRED, on, on.length));
          receive(fd, onHandover);
        }
      });
      readiness.want({ read: true, write: false });
      return () => {
        readiness.close();
        closeSync(listener);
        rmSync(path, { force: true });
      };
    },

    connect(path, descriptors) {
      const fd = checked('socket', socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const address = unixAddress(path);
      checked('connect', connect(fd, address, address.length));
      const message = new Message(Buffer.alloc(1), controlFor(descriptors));
      checked('sendmsg', Number(sendmsg(fd, message.header, 0)));
      return new Socket({ fd, readable: true, writable: true });
    },
  };
}

/** struct msghdr and struct iovec of 64-bit Linux; holds on to the memory it points to. */
class Message {
  readonly header = Buffer.alloc(56);
  readonly #data: Buffer;
  readonly #control: Buffer;
  readonly #vector = Buffer.alloc(16);

  constructor(data: Buffer, control: Buffer) {
    this.#data = data;
    this.#control = control;
    this.#vector.writeBigUInt64LE(koffi.address(this.#data), 0);
    this.#vector.writeBigUInt64LE(BigInt(data.length), 8);
    this.header.writeBigUInt64LE(koffi.address(this.#vector), 16);
    this.header.writeBigUInt64LE(1n, 24);
    this.header.writeBigUInt64LE(koffi.address(this.#control), 32);
    this.header.writeBigUInt64LE(BigInt(control.length), 40);
  }

  /** After a call, how much of the control data was filled. */
  get controlLength(): number {
    return Number(this.header.readBigUInt64LE(40));
  }
}

/** One control message: header and data, padded to 8 bytes. */
function controlMessage(type: number, values: readonly number[]): Buffer {
  const message = Buffer.alloc(CMSG_HEADER_BYTES + 8 * Math.ceil(values.length / 2));
  message.writeBigUInt64LE(BigInt(CMSG_HEADER_BYTES + 4 * values.length), 0);
  message.writeInt32LE(SOL_SOCKET, 8);
  message.writeInt32LE(type, 12);
  values.forEach((value, i) => {
    message.writeUInt32LE(value, CMSG_HEADER_BYTES + 4 * i);
  });
  return message;
}

/** The descriptors, and who this process is: the kernel refuses a lie. */
function controlFor(descriptors: readonly number[]): Buffer {
  const self = [process.pid, process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  return Buffer.concat([controlMessage(SCM_RIGHTS, descriptors), controlMessage(SCM_CREDENTIALS, self)]);
}

function parseControl(control: Buffer): { descriptors: number[]; peer: Peer | undefined } {
  const descriptors: number[] = [];
  let peer: Peer | undefined;
  for (let at = 0; at + CMSG_HEADER_BYTES <= control.length; ) {
    const length = Number(control.readBigUInt64LE(at));
    if (length < CMSG_HEADER_BYTES) break;
    const type = control.readInt32LE(at + 12);
    const data = control.subarray(at + CMSG_HEADER_BYTES, at + length);
    if (type === SCM_RIGHTS) {
      for (let i = 0; i + 4 <= data.length; i += 4) descriptors.push(data.readInt32LE(i));
    } else if (type === SCM_CREDENTIALS && data.length >= 12) {
      peer = { pid: data.readInt32LE(0), uid: data.readUInt32LE(4), gid: data.readUInt32LE(8) };
    }
    at += 8 * Math.ceil(length / 8);
  }
  return { descriptors, peer };
}

/** struct sockaddr_un. */
function unixAddress(path: string): Buffer {
  const name = Buffer.from(`${path}\0`);
  if (name.length > 108) throw new RangeError(`socket path is too long: ${path}`);
  const address = Buffer.alloc(2 + name.length);
  address.writeUInt16LE(AF_UNIX, 0);
  name.copy(address, 2);
  return address;
}
