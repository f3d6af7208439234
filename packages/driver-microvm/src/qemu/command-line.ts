import { GUEST, TAP } from '@islet/network';
import { FILES, type MachineShape } from '../machine-files.ts';
import { guestArguments, type KernelBoot } from '../vmm.ts';
import type { Accelerator } from './accelerator.ts';

/** Content of the kernel's ring of console output that is kept, bytes. */
const CONSOLE_BYTES = 65_536;

/** Most of what translated code may take, MiB: QEMU's own default of a gigabyte would dwarf the machine. */
const TRANSLATION_MB = 128;

export interface CommandLineOptions {
  shape: MachineShape;
  /** The machine's folder, absolute. */
  dir: string;
  controlSocket: string;
  /** Serves one session beside the one of `controlSocket`. */
  watchSocket: string;
  accelerator: Accelerator;
  /** User and group that QEMU runs as. */
  uid: number;
  /** The kernel to boot; absent: the machine waits for a snapshot's state. */
  boot?: KernelBoot | undefined;
}

/** Arguments of `qemu-system-x86_64`. A machine starts from a snapshot only with the devices it was saved with. */
export function qemuArguments(options: CommandLineOptions): string[] {
  const { accelerator, boot, dir, shape, uid } = options;
  const size = `${shape.memoryMb}M`;
  const memory = shape.ownsMemory
    ? `memory-backend-file,id=ram,size=${size},mem-path=${dir}/${FILES.memory},share=on`
    : // The snapshot's file is mapped into it afterwards: see `mapMemory`.
      `memory-backend-ram,id=ram,size=${size}`;
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    // ACPI alone tells Debian's kernel of virtio-mmio devices and CPUs; SeaBIOS's tables would be overwritten by a PVH kernel.
    ...['-M', MACHINE, '-bios', 'qboot.rom'],
    ...acceleration(accelerator),
    ...['-smp', String(shape.cpuCount), '-m', size],
    ...['-object', memory],
    ...drive('root', [file('root', `${dir}/${FILES.root}`, true)]),
    ...drive('guest', [file('guest', `${dir}/${FILES.guest}`, true)]),
    ...drive(topNode(shape.layers), diskNodes(dir, shape.layers)),
    ...['-netdev', `tap,id=net,ifname=${TAP},script=no,downscript=no`],
    ...['-device', `virtio-net-device,netdev=net,mac=${GUEST.mac}`],
    ...['-object', 'rng-builtin,id=rng', '-device', 'virtio-rng-device,rng=rng'],
    // For what the guest says of its free pages; nobody asks it for any.
    ...['-device', 'virtio-balloon-device,free-page-reporting=on'],
    ...['-chardev', `ringbuf,id=console,size=${CONSOLE_BYTES}`, '-serial', 'chardev:console'],
    ...monitor('control', options.controlSocket),
    ...monitor('watch', options.watchSocket),
    // Privileges are dropped for good after the devices are open; the filter that forbids it would forbid that, too.
    ...['-sandbox', 'on,obsolete=deny,elevateprivileges=allow,spawn=deny,resourcecontrol=deny'],
    ...['-run-with', `chroot=${dir},user=${uid}:${uid}`],
    ...(boot
      ? ['-kernel', boot.kernel, '-initrd', boot.initrd, '-append', kernelArguments(accelerator, boot)]
      : // The state of devices alone, as `xen-save-devices-state` writes it, has no section on the machine's configuration.
        ['-incoming', 'defer', '-global', 'migration.send-configuration=off']),
  ];
}

const MACHINE = [
  'microvm',
  'acpi=on',
  'pit=off',
  'pic=off',
  'rtc=on',
  'pcie=off',
  'usb=off',
  'graphics=off',
  'isa-serial=on',
  'suppress-vmdesc=on',
  'memory-backend=ram',
].join(',');

function acceleration(accelerator: Accelerator): string[] {
  if (accelerator.kind === 'kvm') return ['-accel', 'kvm', '-cpu', 'host'];
  return ['-accel', `tcg,thread=multi,tb-size=${TRANSLATION_MB}`, '-cpu', 'max'];
}

/**
 * What Node.js of a machine whose code is translated is told: code of its own for each function would have to be translated anew in
 * every machine. Measured: 45,000 pieces of code are translated in a start in place of 55,000, and it takes 0.42 s of CPU in place of 0.6 s.
 */
const TRANSLATED_NODE = '--no-sparkplug';

/** What the kernel is told. Under TCG nothing guards against attacks by speculation, since there is none. */
export function kernelArguments(accelerator: Accelerator, boot: KernelBoot): string {
  return [
    ...['console=ttyS0', 'quiet', 'loglevel=3', 'reboot=t', 'panic=-1', 'net.ifnames=0'],
    ...['random.trust_cpu=on', 'tsc=reliable'],
    ...(accelerator.kind === 'tcg'
      ? [`tsc_early_khz=${accelerator.tscKhz}`, 'mitigations=off', `islet.node=${TRANSLATED_NODE}`]
      : []),
    ...guestArguments(boot),
  ].join(' ');
}

/** Speaks QMP, to one at a time. */
function monitor(id: string, socket: string): string[] {
  return [
    ...['-chardev', `socket,id=${id},path=${socket},server=on,wait=off`],
    ...['-mon', `chardev=${id},mode=control`],
  ];
}

/** The names of all block nodes that a machine of so many layers has. */
export function blockNodes(layers: readonly string[]): Set<string> {
  return new Set(['root', 'guest', ...layers.flatMap((layer) => [layer, `${layer}-file`])]);
}

function topNode(layers: readonly string[]): string {
  return layers.at(-1) as string;
}

/** The nodes of a layered disk: below each layer its file, and the layer under it. */
function diskNodes(dir: string, layers: readonly string[]): Record<string, unknown>[] {
  return layers.flatMap((layer, i) => {
    const readOnly = i < layers.length - 1;
    const format = i === 0 ? { driver: 'raw' } : { driver: 'qcow2', backing: layers[i - 1] };
    return [
      file(`${layer}-file`, `${dir}/${layer}`, readOnly),
      {
        ...{ ...format, 'node-name': layer, file: `${layer}-file` },
        ...{ 'read-only': readOnly, discard: 'unmap', cache: UNHURRIED },
      },
    ];
  });
}

/**
 * A machine's disk is of no use without its memory, which ends with the host: what the guest wants to be on the disk for good need
 * not be on the host's.
 */
const UNHURRIED = { 'no-flush': true };

function file(node: string, filename: string, readOnly: boolean): Record<string, unknown> {
  return {
    ...{ driver: 'file', 'node-name': node, filename },
    ...{ 'read-only': readOnly, discard: 'unmap', cache: UNHURRIED },
  };
}

/** Devices are found in the guest in this order: vda, vdb, vdc. */
function drive(node: string, nodes: readonly Record<string, unknown>[]): string[] {
  return [
    ...nodes.flatMap((each) => ['-blockdev', JSON.stringify(each)]),
    ...['-device', `virtio-blk-device,drive=${node}`],
  ];
}

/** The nodes that `blockdev-add` makes of an empty layer which is to go on top of a running machine's disk. */
export function layerNode(layer: string): Record<string, unknown> {
  return {
    driver: 'qcow2',
    'node-name': layer,
    // Inside the machine's folder, which is all that a running QEMU sees.
    // Once it got another one above, it is taken away from QEMU's user, who must not try to open it for writing again.
    file: { ...file(`${layer}-file`, `/${layer}`, false), 'auto-read-only': true },
    backing: null,
    discard: 'unmap',
    cache: UNHURRIED,
  };
}
