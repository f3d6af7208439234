import {
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ClientWritableStream,
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  makeGenericClientConstructor,
  type requestCallback,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';

const bytes = { serialize: (value: Buffer) => value, deserialize: (value: Buffer) => value };
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: bytes.serialize,
  requestDeserialize: bytes.deserialize,
  responseSerialize: bytes.serialize,
  responseDeserialize: bytes.deserialize,
});

/** Messages are bytes. */
const DEFINITION: ServiceDefinition = {
  once: method('Once', false, false),
  collect: method('Collect', true, false),
  repeat: method('Repeat', false, true),
  talk: method('Talk', true, true),
};

/** A client of the service; see `grpcServer`. */
export const EchoClient = makeGenericClientConstructor(DEFINITION, 'Echo');

export type EchoMethods = {
  once(message: Buffer, metadata: Metadata, done: requestCallback<Buffer>): ClientUnaryCall;
  collect(metadata: Metadata, done: requestCallback<Buffer>): ClientWritableStream<Buffer>;
  repeat(message: Buffer, metadata?: Metadata): ClientReadableStream<Buffer>;
  talk(metadata?: Metadata): ClientDuplexStream<Buffer, Buffer>;
};

/** What the server noted: the heads of calls, and those that their client gave up. */
export interface Calls {
  heads: Metadata[];
  cancelled: number;
}

function implementation(calls: Calls): UntypedServiceImplementation {
  const answer: handleUnaryCall<Buffer, Buffer> = (call, done) => {
    calls.heads.push(call.metadata);
    const text = call.request.toString();
    if (text === 'fail') {
      const metadata = new Metadata();
      metadata.set('why-bin', Buffer.from([0, 255, 10, 13]));
      done({ code: status.FAILED_PRECONDITION, details: 'not now: ü', metadata });
      return;
    }
    const trailers = new Metadata();
    trailers.set('x-behind', 'it');
    done(null, Buffer.from(`<${text}>`), trailers);
  };
  const collect: handleClientStreamingCall<Buffer, Buffer> = async (call, done) => {
    let size = 0;
    for await (const piece of call as AsyncIterable<Buffer>) size += piece.length;
    done(null, Buffer.from(String(size)));
  };
  const repeat: handleServerStreamingCall<Buffer, Buffer> = (call) => {
    const [times = 0, size = 0] = call.request.toString().split(' ').map(Number);
    let sent = 0;
    const pump = () => {
      while (sent < times) {
        sent++;
        if (!call.write(Buffer.alloc(size, sent))) return;
      }
      if (sent++ === times) call.end();
    };
    call.on('drain', pump);
    pump();
  };
  const talk: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
    call.on('data', (piece: Buffer) => call.write(Buffer.concat([Buffer.from('re: '), piece])));
    call.on('end', () => call.end());
    call.on('cancelled', () => {
      calls.cancelled++;
    });
  };
  return { once: answer, collect, repeat, talk };
}

/** A server of gRPC, which speaks HTTP/2 without TLS and nothing else. @param at its port; 0: any that is free */
export async function grpcServer(
  address: string,
  at = 0,
): Promise<{ server: Server; port: number; calls: Calls }> {
  const server = new Server();
  const calls: Calls = { heads: [], cancelled: 0 };
  server.addService(DEFINITION, implementation(calls));
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${address}:${at}`, ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { server, port, calls };
}
