import { GUEST, TAP } from '@islet/network';
import { FILES, type MachineShape, topLayer } from '../machine-files.ts';
import { guestArguments, type KernelBoot } from '../vmm.ts';
import type { Drive, FirecrackerApi } from './api.ts';
import { JAILED } from './jail.ts';

/** Tells a fresh Firecracker of a machine's parts and has it boot. */
export async function configureAndStart(
  api: FirecrackerApi,
  shape: MachineShape,
  boot: KernelBoot,
): Promise<void> {
  await api.configureMachine({ vcpu_count: shape.cpuCount, mem_size_mib: shape.memoryMb });
  await api.setBootSource({
    kernel_image_path: JAILED.kernel,
    initrd_path: JAILED.initrd,
    boot_args: kernelArguments(boot),
  });
  for (const each of drives(shape)) await api.addDrive(each);
  await api.addNetworkInterface({ iface_id: 'eth0', host_dev_name: TAP, guest_mac: GUEST.mac });
  await api.addEntropyDevice();
  await api.addBalloon({ amount_mib: 0, deflate_on_oom: true, free_page_reporting: true });
  await api.start();
}

/** In the guest's order: vda, vdb, vdc. None is the root device for Firecracker, since the initial file system mounts them. */
function drives(shape: MachineShape): Drive[] {
  const drive = (drive_id: string, file: string, is_read_only: boolean): Drive => ({
    ...{ drive_id, path_on_host: `/${file}`, is_root_device: false, is_read_only },
  });
  return [
    drive('root', FILES.root, true),
    drive('guest', FILES.guest, true),
    drive('disk', topLayer(shape), false),
  ];
}

/** What the kernel is told. Firecracker ends its guest on a reset by the keyboard's controller, and has neither PCI nor a keyboard. */
function kernelArguments(boot: KernelBoot): string {
  return [
    ...['console=ttyS0', 'quiet', 'loglevel=3', 'reboot=k', 'panic=-1', 'pci=off', 'net.ifnames=0'],
    ...['i8042.noaux', 'i8042.nomux', 'i8042.nopnp', 'i8042.dumbkbd', 'random.trust_cpu=on'],
    ...guestArguments(boot),
  ].join(' ');
}
