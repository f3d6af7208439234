import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/**
 * Lays out a guest directory whose `envd` is a small server that remembers: the drivers' own tests need a program with
 * memory and files to look at, not all of envd.
 */
export function layOutProbeGuest(dir: string): void {
  mkdirSync(join(dir, 'lib'), { recursive: true });
  mkdirSync(join(dir, 'envd'), { recursive: true });
  copyFileSync(process.execPath, join(dir, 'node'));
  const libraries = execFileSync('ldd', [process.execPath], { encoding: 'utf8' }).match(/\/\S+/g) ?? [];
  for (const library of libraries) copyFileSync(library, join(dir, 'lib', basename(library)));
  writeFileSync(join(dir, 'envd', 'envd.mjs'), PROBE);
}

const PROBE = `
import { readFileSync, writeFileSync, existsSync, openSync, readdirSync, statfsSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';
import { Worker } from 'node:worker_threads';
// Where a driver hands envd the disk apart from the root file system, that is the one to write to.
const at = process.argv.indexOf('--disk');
const disk = at === -1 ? '' : process.argv[at + 1];
let count = 0;
const spin = () => { const end = Date.now() + 20; while (Date.now() < end); setImmediate(spin); };
const hog = [];
let messages = 0;
const TELL = "setInterval(() => require('node:worker_threads').parentPort.postMessage(0), 50)";
const routes = {
  '/count': () => String(++count),
  '/write': () => (writeFileSync(disk + '/note.txt', 'kept'), 'ok'),
  '/read': () => (existsSync(disk + '/note.txt') ? readFileSync(disk + '/note.txt', 'utf8') : 'none'),
  '/memory': () => /MemTotal:\\s+(\\d+)/.exec(readFileSync('/proc/meminfo', 'utf8'))[1],
  '/cpus': () => String(readFileSync('/proc/cpuinfo', 'utf8').match(/^processor/gm).length),
  '/disk': () => { const { blocks, bsize } = statfsSync(disk + '/'); return String(Math.floor((blocks * bsize) / (1 << 20))); },
  '/fill': () => {
    const file = openSync(disk + '/big', 'w');
    const bytes = Buffer.alloc(1 << 20, 1);
    for (let written = 0; ; written++) {
      try { writeSync(file, bytes); } catch (error) { return error.code + ' ' + written; }
    }
  },
  '/spin': () => { setImmediate(spin); return 'spinning'; },
  '/hog': () => { setInterval(() => hog.push(Buffer.alloc(16 << 20, 1)), 1); return 'eating'; },
  '/listen': () => { new Worker(TELL, { eval: true }).on('message', () => messages++); return 'listening'; },
  '/messages': () => String(messages),
  '/block': () => {
    setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_000), 200);
    return 'blocking';
  },
  '/processes': () => readdirSync('/proc').filter((name) => /^\\d+$/.test(name)).join(','),
};
createServer((request, response) => {
  const route = routes[request.url];
  response.statusCode = route ? 200 : 404;
  response.end(route ? route() : '');
}).listen(49983, '0.0.0.0');
`;
