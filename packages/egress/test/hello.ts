import { Duplex } from 'node:stream';
import { connect } from 'node:tls';

/** The ClientHello that Node sends, as it is on the wire. */
export function clientHello(options: { servername?: string; ALPNProtocols?: string[] }): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read: () => undefined,
      write(piece: Buffer, _encoding, done) {
        done();
        resolve(piece);
        wire.destroy();
      },
    });
    connect({ socket: wire, ...options }).on('error', () => undefined);
  });
}

/** The same handshake in records of so many bytes. */
export function inRecords(hello: Buffer, bytes: number): Buffer {
  const handshake = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < handshake.length; at += bytes) {
    const content = handshake.subarray(at, at + bytes);
    records.push(Buffer.from([22, 3, 1, content.length >> 8, content.length & 0xff]), content);
  }
  return Buffer.concat(records);
}
