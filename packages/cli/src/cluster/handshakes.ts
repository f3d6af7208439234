import type { Server } from 'node:https';
import type { Socket } from 'node:net';

/** Handshakes under way from one address: a member makes some at once when it starts. */
const AT_ONCE = 64;

/**
 * Keeps connections of a server that say nothing from taking the places of its members: of an address that has more than some
 * in the middle of their handshakes, the oldest goes. What the time for a handshake is bounds the rest.
 */
export function boundHandshakes(server: Server): void {
  const byAddress = new Map<string, Map<number, Socket>>();
  const forget = ({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>) => {
    const waiting = byAddress.get(remoteAddress ?? '');
    waiting?.delete(remotePort ?? 0);
    if (waiting?.size === 0) byAddress.delete(remoteAddress ?? '');
  };
  server.prependListener('connection', (socket: Socket) => {
    const { remoteAddress = '', remotePort = 0 } = socket;
    const waiting = byAddress.get(remoteAddress) ?? new Map<number, Socket>();
    byAddress.set(remoteAddress, waiting.set(remotePort, socket));
    // Once it is closed it has no address any more.
    socket.once('close', () => forget({ remoteAddress, remotePort }));
    if (waiting.size <= AT_ONCE) return;
    const [[port, oldest] = []] = waiting;
    forget({ remoteAddress, remotePort: port });
    oldest?.destroy();
  });
  server.prependListener('secureConnection', forget);
}
