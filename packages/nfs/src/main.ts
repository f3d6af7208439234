import { parentPort, workerData } from 'node:worker_threads';
import type { ThreadMessage, ThreadPlace, ThreadRequest } from './thread.ts';
import { VolumeServers } from './volume-servers.ts';

/** The program of `VolumeServerThread`'s thread. */
const say = (message: ThreadMessage) => parentPort?.postMessage(message);
const servers = new VolumeServers({
  ...(workerData as ThreadPlace),
  onFailure: (machineId, failure) => say({ machineId, failure }),
});

async function carryOut(request: ThreadRequest): Promise<void> {
  switch (request.method) {
    case 'serve':
      return servers.serve(...request.args);
    case 'hold':
      return servers.hold(...request.args);
    case 'release':
      return servers.release(...request.args);
    case 'stop':
      return servers.stop(...request.args);
  }
}

parentPort?.on('message', (request: ThreadRequest) => {
  carryOut(request).then(
    () => say({ id: request.id }),
    (error: unknown) => say({ id: request.id, error }),
  );
});
