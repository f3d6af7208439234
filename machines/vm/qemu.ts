import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import type { Image } from '../image/image.ts';
import { TIED } from '../process/run.ts';

export interface QemuOptions {
  image: Image;
  accelerator: Accelerator;
  memoryMib: number;
  cores: number;
  /** The processor that the machine sees; by default the most that the accelerator offers. */
  cpu?: string;
  /** Added to the kernel's command line. */
  kernelArguments?: readonly string[];
  /** A public key that may log in as root. */
  publicKey: string;
  /** Where the console is written. */
  consoleFile: string;
  /** A file that the machine sees as its second disk, read-only. */
  attached?: string | undefined;
}

/** `tcg`: translated, which works everywhere. */
export type Accelerator = 'kvm' | 'tcg';

/** The most that QEMU translates, but for a fifth level of page tables, which every miss of its TLB would have to walk. */
const TRANSLATED_CPU = 'max,la57=off';

/** No one attacks a machine that lives for one test: the defences of a processor cost much if it is translated. */
const KERNEL_ARGUMENTS = ['root=/dev/vda', 'rw', 'console=ttyS0', 'mitigations=off'];

/** A virtual machine's process. It never outlives this one, and what its disk was written is gone with it. */
export interface Qemu extends AsyncDisposable {
  /** A port of 127.0.0.1 that leads to the machine's ssh. */
  sshPort: number;
  /** Settles when the process is gone; with what it said. */
  gone: Promise<string>;
}

export async function startQemu(options: QemuOptions): Promise<Qemu> {
  const sshPort = await freePort();
  const [file = '', ...args] = [...TIED, ...commandLine(options, sshPort)];
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const gone = ended(child);
  return {
    sshPort,
    gone,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await gone;
    },
  };
}

/** The command that runs a machine of `options`. */
export function commandLine(options: QemuOptions, sshPort: number): string[] {
  const { image, accelerator, memoryMib, cores, consoleFile, attached } = options;
  // Of the disk's own cache nothing has to survive the host's end.
  const drive = (path: string, rest: string) =>
    `file=${path.replaceAll(',', ',,')},format=raw,if=virtio,${rest}`;
  return [
    ...['qemu-system-x86_64', '-nodefaults', '-no-user-config', '-display', 'none', '-machine', 'q35'],
    ...['-accel', accelerator === 'tcg' ? 'tcg,thread=multi,tb-size=512' : 'kvm'],
    ...['-cpu', options.cpu ?? (accelerator === 'tcg' ? TRANSLATED_CPU : 'host')],
    ...['-smp', `${cores}`, '-m', `${memoryMib}`],
    ...['-kernel', image.kernel, '-initrd', image.initrd],
    ...['-append', [...KERNEL_ARGUMENTS, ...(options.kernelArguments ?? [])].join(' ')],
    ...['-drive', drive(image.disk, 'snapshot=on,cache=unsafe')],
    ...(attached ? ['-drive', drive(attached, 'readonly=on')] : []),
    ...[
      '-netdev',
      `user,id=net,hostfwd=tcp:127.0.0.1:${sshPort}-:22`,
      '-device',
      'virtio-net-pci,netdev=net',
    ],
    ...['-device', 'virtio-rng-pci'],
    ...['-chardev', `file,id=console,path=${consoleFile}`, '-serial', 'chardev:console'],
    ...['-smbios', `type=11,value=${credential('ssh.authorized_keys.root', options.publicKey)}`],
  ];
}

/** How systemd of a machine gets a credential from the machine's maker; see systemd.system-credentials(7). */
function credential(name: string, value: string): string {
  return `io.systemd.credential.binary:${name}=${Buffer.from(value).toString('base64')}`;
}

function ended(child: ChildProcess): Promise<string> {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-4000);
    });
  }
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(`QEMU ended with ${code ?? signal}: ${output.trim()}`));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}
