import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const START_DEADLINE_MS = 10_000;

/** One process on one core, as Debian configures it otherwise, with kept connections to the server behind it. */
const config = (directory: string, port: number, upstream: string) => `
daemon off;
master_process off;
pid ${directory}/nginx.pid;
error_log stderr error;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  map $http_upgrade $connection_field { default upgrade; '' ''; }
  upstream server { server ${upstream}; keepalive 512; }
  server {
    listen 127.0.0.1:${port} backlog=1024;
    keepalive_requests 1000000000;
    location / {
      proxy_pass http://server;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_field;
    }
  }
}
`;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function untilAnswering(port: number, failed: Promise<never>): Promise<void> {
  const deadline = performance.now() + START_DEADLINE_MS;
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    try {
      await Promise.race([once(socket, 'connect'), failed]);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED' || performance.now() > deadline)
        throw error;
      await sleep(50);
    } finally {
      socket.destroy();
    }
  }
}

/**
 * nginx as a reverse proxy to a server.
 * @throws Error that names the package if nginx is not installed.
 */
export async function startNginx(
  upstream: string,
): Promise<{ child: ChildProcess; port: number } & AsyncDisposable> {
  const directory = await mkdtemp(join(tmpdir(), 'islet-bench-nginx-'));
  const port = await freePort();
  const file = join(directory, 'nginx.conf');
  await writeFile(file, config(directory, port, upstream));
  const child = spawn('nginx', ['-p', directory, '-c', file], { stdio: ['ignore', 'ignore', 'inherit'] });
  const exited = once(child, 'exit').catch(() => []);
  const failed = new Promise<never>((_, reject) => {
    child.once('error', (cause) =>
      reject(new Error('nginx cannot be started. Install it: ./islet setup --with-tests', { cause })),
    );
    child.once('exit', (code) => reject(new Error(`nginx ended with ${code}`)));
  });
  // Only its start waits for this: that it ends when it is told to is no error.
  failed.catch(() => {});
  const stop = async () => {
    child.kill('SIGTERM');
    if (child.pid !== undefined) await exited;
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await untilAnswering(port, failed);
  } catch (error) {
    await stop();
    throw error;
  }
  return { child, port, [Symbol.asyncDispose]: stop };
}
