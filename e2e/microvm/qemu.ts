import { readdir, readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

/** Pids of the host's QEMU processes of one machine. */
export async function qemuOf(machine: string): Promise<number[]> {
  const pids: number[] = [];
  for (const name of await readdir('/proc')) {
    const command = /^\d+$/.test(name) ? await commandLine(name) : [];
    if (command[0]?.startsWith('qemu-system') && command.some((word) => word.includes(`/${machine}/`)))
      pids.push(Number(name));
  }
  return pids;
}

/** Stops a machine through its QEMU's control socket, as saving it does. Nobody else may be talking to it. */
export async function stopMachine(pid: number): Promise<void> {
  const [, path] = /^socket,id=control,path=([^,]+)/m.exec((await commandLine(String(pid))).join('\n')) ?? [];
  if (path === undefined) throw new Error(`process ${pid} has no control socket`);
  const socket = connect(path);
  socket.write('{"execute":"qmp_capabilities"}\n{"execute":"stop"}\n');
  for await (const line of createInterface(socket)) if (line.includes('"STOP"')) break;
  socket.destroy();
}

async function commandLine(pid: string): Promise<string[]> {
  return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
}
