import { isIP } from 'node:net';
import { type ImageReference, isLoopback } from './reference.ts';
import { type RegistryGate, unbracketed } from './registry-gate.ts';

/** Where the gate's socket and the file of host names are, for the program inside. */
export const GATE_SOCKET = '/gate';
export const HOSTS_FILE = '/etc/hosts';

/** What the program between is told. */
interface Bridge {
  socket: string;
  /** Who it and the command run as. */
  uid: number;
  /** The registry, if programs would ask no proxy for it. */
  registry: { host: string; port: number } | undefined;
  /** Of the operator's proxy, whose port it replaces; absent: the gate is the proxy. */
  proxy: string | undefined;
}

/**
 * Runs where there is no network but the loopback interface: offers the gate there as a proxy on a port, since programs know no proxies on
 * sockets, gives up being root, and runs the command that is given. A registry of the machine's own is offered at its own address.
 */
const BRIDGE = `
const { spawn } = require('node:child_process');
const { connect, createServer } = require('node:net');
const [told, program, ...args] = process.argv.slice(1);
const { socket, uid, registry, proxy } = JSON.parse(told);
const HEAD_END = '\\r\\n\\r\\n';
const join = (client, gate) => {
  client.on('error', () => gate.destroy()).on('close', () => gate.destroy());
  gate.on('error', () => client.destroy()).on('close', () => client.destroy());
};
const plain = createServer((client) => {
  const gate = connect(socket);
  join(client, gate);
  client.pipe(gate).pipe(client);
});
const direct = createServer((client) => {
  const gate = connect(socket);
  join(client, gate);
  const name = registry.host.includes(':') ? '[' + registry.host + ']' : registry.host;
  gate.write('CONNECT ' + name + ':' + registry.port + ' HTTP/1.1\\r\\nHost: registry' + HEAD_END);
  let head = '';
  gate.on('data', function onHead(bytes) {
    head += bytes.toString('latin1');
    const end = head.indexOf(HEAD_END);
    if (end === -1) return;
    gate.off('data', onHead);
    if (!head.startsWith('HTTP/1.1 200 ')) return client.destroy();
    client.write(Buffer.from(head.slice(end + HEAD_END.length), 'latin1'));
    client.pipe(gate).pipe(client);
  });
});
const run = () => {
  process.setgroups([]);
  process.setgid(uid);
  process.setuid(uid);
  const url = new URL(proxy ?? 'http://127.0.0.1');
  url.port = String(plain.address().port);
  const address = url.href;
  const env = { ...process.env, HTTPS_PROXY: address, HTTP_PROXY: address, https_proxy: address, http_proxy: address };
  // Not inherited: Node makes what it writes to non-blocking, which other programs do not expect.
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.pipe(process.stdout);
  child.stderr.pipe(process.stderr);
  child.on('error', (error) => { console.error(error.message); process.exit(127); });
  child.on('close', (code) => process.exit(code ?? 1));
  // What it left running may hold its output open.
  child.on('exit', (code) => setTimeout(() => process.exit(code ?? 1), 1000));
};
plain.listen(0, '127.0.0.1', () => registry ? direct.listen(registry.port, registry.host, run) : run());
`;

/** A command that reaches the gate and nothing else; Node's program is at `node`. */
export function behindGate(
  { proxy }: RegistryGate,
  reference: ImageReference,
  { node, uid }: { node: string; uid: number },
  command: readonly string[],
): string[] {
  const bridge: Bridge = {
    ...{ socket: GATE_SOCKET, uid, registry: ownRegistry(reference) },
    proxy: proxy && withinReach(proxy),
  };
  return [node, '-e', BRIDGE, JSON.stringify(bridge), ...command];
}

/** Under a name, which the file of names changes, its certificate fits; an address cannot be changed so. */
function withinReach(proxy: URL): string {
  const address = new URL(proxy);
  if (isIP(unbracketed(proxy.hostname)) !== 0) address.hostname = '127.0.0.1';
  return address.href;
}

/** Names that lead to the loopback interface, since no other is there. */
export function hostsFile({ proxy }: RegistryGate): string {
  const names = ['localhost', ...(proxy ? [unbracketed(proxy.hostname)] : [])];
  return names.map((name) => `127.0.0.1 ${name}\n`).join('');
}

/** Programs ask no proxy for what is on the same machine. */
function ownRegistry(reference: ImageReference): Bridge['registry'] {
  if (!isLoopback(reference)) return undefined;
  const [, name = '', port] = /^(.*?)(?::(\d+))?$/.exec(reference.registry) ?? [];
  const host = unbracketed(name);
  return { host: host === 'localhost' ? '127.0.0.1' : host, port: Number(port ?? 80) };
}
