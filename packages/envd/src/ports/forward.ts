import { createConnection, createServer, type Server, type Socket } from 'node:net';

/** One forwarded port. */
export interface Forward {
  /** The outside address it listens on. */
  address: string;
  /** The loopback address it leads to. */
  target: string;
  close(): void;
}

/**
 * Accepts connections on an outside address and hands them to a program on a loopback one.
 * @param onLost called if it cannot listen (any more).
 */
export function openForward(port: number, address: string, target: string, onLost: () => void): Forward {
  const sockets = new Set<Socket>();
  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  };
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (outside) => {
    const inside = createConnection({ host: target, port, allowHalfOpen: true, noDelay: true });
    track(outside);
    track(inside);
    join(outside, inside);
    join(inside, outside);
  });
  server.on('error', onLost);
  server.listen({ host: address, port });
  return {
    address,
    target,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** What one side sends the other gets, the end too; when one breaks, the other is reset. */
function join(from: Socket, to: Socket): void {
  from.pipe(to);
  from.on('error', () => to.destroy());
  from.once('close', () => {
    if (!from.readableEnded) to.destroy();
  });
}
