import type { ProbeOptions } from '../probe.ts';
import type { Variant } from '../variant.ts';
import { Firecracker } from './firecracker.ts';
import { probeFirecracker } from './probe.ts';
import { type FirecrackerPaths, findFirecracker } from './programs.ts';

/** Firecracker at the paths that its owner names. @throws FirecrackerUnusable */
export async function firecrackerVariant(paths: FirecrackerPaths, options: ProbeOptions): Promise<Variant> {
  const found = await findFirecracker(paths, options.exec);
  return {
    missing: async () => undefined,
    probeKvm: () => probeFirecracker(found, options),
    onKvm: { open: async (exec) => new Firecracker({ ...found, exec }) },
    async withoutKvm(kvm) {
      throw new Error(
        `Firecracker needs KVM, which does not work here: ${kvm.reason}. Run ./islet doctor --isolation microvm, or leave --firecracker out: QEMU also runs without, if slowly`,
      );
    },
  };
}
