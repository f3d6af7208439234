import type { Socket } from 'node:net';
import type { Server } from 'node:tls';

/**
 * Keeps connections of a server that say nothing from taking the places of its members: of an address that has more than some
 * in the middle of their handshakes, the oldest goes. The time for a handshake bounds the rest.
 * @param most of one address at once: as many as a member makes at a time
 */
export function boundHandshakes(server: Server, most: number): void {
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
    if (waiting.size <= most) return;
    const [[port, oldest] = []] = waiting;
    forget({ remoteAddress, remotePort: port });
    oldest?.destroy();
  });
  server.prependListener('secureConnection', forget);
}
