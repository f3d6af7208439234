import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clientHello, inRecords } from '../../test/hello.ts';
import { ClientHelloReader, type HelloReading, MOST_HELLO_WIRE_BYTES } from './client-hello.ts';

/** Content of an extension, behind its type. */
const extension = (type: number, content: Buffer) =>
  Buffer.concat([Buffer.from([type >> 8, type & 0xff]), counted(content, 2)]);
const counted = (content: Buffer, bytes: number) => {
  const length = Buffer.alloc(bytes);
  length.writeUIntBE(content.length, 0, bytes);
  return Buffer.concat([length, content]);
};
const serverName = (...names: string[]) =>
  extension(
    0,
    counted(
      Buffer.concat(names.map((name) => Buffer.concat([Buffer.from([0]), counted(Buffer.from(name), 2)]))),
      2,
    ),
  );
const helloWith = (...extensions: Buffer[]) => {
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 7),
    counted(Buffer.alloc(32), 1),
    counted(Buffer.from([0x1a, 0x1a, 0x13, 0x01]), 2),
    counted(Buffer.from([0]), 1),
    counted(Buffer.concat(extensions), 2),
  ]);
  const handshake = Buffer.concat([Buffer.from([1]), counted(body, 3)]);
  return Buffer.concat([Buffer.from([22, 3, 1]), counted(handshake, 2)]);
};

function read(wire: Buffer, pieces: readonly number[] = [wire.length]): HelloReading {
  const reader = new ClientHelloReader();
  let reading: HelloReading = { is: 'more' };
  for (let at = 0, i = 0; at < wire.length; i++) {
    const length = pieces[i % pieces.length] as number;
    reading = reader.push(wire.subarray(at, at + length));
    at += length;
  }
  return reading;
}

describe('a ClientHello', () => {
  it('names its server, in any case', async () => {
    const hello = await clientHello({ servername: 'API.Example.com' });
    expect(read(hello)).toEqual({ is: 'hello', name: 'api.example.com' });
  });

  it('may name none', async () => {
    expect(read(await clientHello({}))).toEqual({ is: 'hello', name: undefined });
    expect(read(helloWith())).toEqual({ is: 'hello', name: undefined });
    // As RFC 6066 has it, an address is no name.
    expect(read(helloWith(serverName('1.2.3.4')))).toEqual({ is: 'hello', name: undefined });
  });

  it('is read with values that are there to be ignored, and with an encrypted one within', () => {
    const grease = (type: number) => extension(type, Buffer.from([0]));
    const encrypted = extension(0xfe0d, Buffer.alloc(200, 1));
    expect(read(helloWith(grease(0x2a2a), encrypted, serverName('outer.example'), grease(0x3a3a)))).toEqual({
      is: 'hello',
      name: 'outer.example',
    });
  });

  it('is believed no two names', () => {
    expect(read(helloWith(serverName('a.example'), serverName('b.example')))).toEqual({ is: 'other' });
    expect(read(helloWith(serverName('a.example', 'b.example')))).toEqual({ is: 'other' });
  });

  it('is the same in any pieces of segments and records', async () => {
    const hello = await clientHello({ servername: 'a.example' });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 600 }),
        fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1 }),
        (record, pieces) => {
          expect(read(inRecords(hello, record), pieces)).toEqual({ is: 'hello', name: 'a.example' });
        },
      ),
    );
  });

  it('is not complete before its last byte', async () => {
    const hello = await clientHello({ servername: 'a.example' });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: hello.length - 1 }), (length) => {
        expect(read(hello.subarray(0, length))).toEqual({ is: 'more' });
      }),
    );
  });

  it('is told from other protocols at the first byte that fits none', () => {
    for (const other of [
      'GET / HTTP/1.1\r\n',
      'SSH-2.0-x\r\n',
      '\x80\x2e\x01\x03\x01',
      '\x16\x02',
      '\x15\x03\x01',
    ]) {
      expect(read(Buffer.from(other, 'latin1'))).toEqual({ is: 'other' });
    }
  });

  it('ends where it says, or is none', () => {
    const whole = helloWith(serverName('a.example'));
    const longer = inRecords(Buffer.concat([whole, Buffer.from('x')]), 100);
    expect(read(longer)).toEqual({ is: 'other' });
    expect(read(Buffer.from([22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff]))).toEqual({ is: 'other' });
    expect(read(Buffer.from([22, 3, 1, 0, 0]))).toEqual({ is: 'other' });
  });

  it('is given up when it takes more bytes than any', () => {
    const reader = new ClientHelloReader();
    const record = Buffer.concat([Buffer.from([22, 3, 1, 0x40, 0]), Buffer.alloc(1000)]);
    reader.push(Buffer.from([22, 3, 1, 0, 4, 1, 0, 0x40, 0]));
    let bytes = 0;
    while (reader.push(record.subarray(0, 1)).is === 'more' && bytes < 2 * MOST_HELLO_WIRE_BYTES) {
      reader.push(Buffer.from([3, 1, 0, 1, 5]));
      bytes += 6;
    }
    expect(bytes).toBeLessThanOrEqual(MOST_HELLO_WIRE_BYTES + 6);
  });

  it('is read without a mistake whatever comes', async () => {
    const hello = await clientHello({ servername: 'a.example' });
    fc.assert(
      fc.property(fc.nat(hello.length - 1), fc.uint8Array({ maxLength: 40 }), (at, bytes) => {
        const broken = Buffer.from(hello);
        broken.set(bytes.subarray(0, hello.length - at), at);
        const reading = read(broken);
        expect(['more', 'hello', 'other']).toContain(reading.is);
      }),
      { numRuns: 2000 },
    );
  });
});
