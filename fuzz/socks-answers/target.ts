import { SocksClient } from '../../packages/egress/src/dial/socks5.ts';
import type { FuzzTarget } from '../target.ts';

const PROXY = { address: 'proxy.example:1080', username: 'me', password: 'secret' };

/** The first byte is the length of the pieces that the rest comes in. */
export const target: FuzzTarget = {
  description: "what an owner's SOCKS proxy answers, before a sandbox's bytes follow",
  run(input) {
    const client = new SocksClient(PROXY, { host: { name: 'a.example' }, port: 443 });
    const [pieceBytes, bytes] = [input[0] || 1, input.subarray(1)];
    let sent = 0;
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      const step = client.push(bytes.subarray(at, at + pieceBytes));
      if (step.is === 'send') sent++;
      if (step.is === 'connected' && sent === 0) throw new Error('connected by what was never asked');
      if (
        step.is === 'connected' &&
        !bytes
          .subarray(0, at + pieceBytes)
          .toString('latin1')
          .endsWith(step.rest.toString('latin1'))
      ) {
        throw new Error('what is behind the answer is something else');
      }
      if (step.is === 'connected' || step.is === 'failed') return;
    }
    if (sent > 2) throw new Error('more was sent than is asked');
  },
};
