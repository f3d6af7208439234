import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { secretsEqual } from '@islet/contracts';

/**
 * Lets only those call a service of the node who can read its token from the data directory: the ports are open to every user of
 * the machine, and what they serve is root's to decide.
 */
export function requireNodeToken(token: string): Interceptor {
  return (next) => async (request) => {
    const [, given] = /^Bearer (\S+)$/.exec(request.header.get('authorization') ?? '') ?? [];
    if (given === undefined || !secretsEqual(given, token)) {
      throw new ConnectError(
        'the node asks for its token: send that of <data dir>/secrets/node-token as a bearer token',
        Code.Unauthenticated,
      );
    }
    return next(request);
  };
}
