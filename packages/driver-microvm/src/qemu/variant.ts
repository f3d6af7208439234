import type { ProbeOptions } from '../probe.ts';
import type { FoundVmm, Variant } from '../variant.ts';
import { type Accelerator, probe, QEMU, translator } from './accelerator.ts';
import { MOST_LAYERS, openQemu } from './qemu.ts';

/** QEMU, which translates instructions if KVM does not run them. */
export function qemuVariant(options: ProbeOptions): Variant {
  const { exec } = options;
  return {
    missing: () =>
      exec(QEMU, ['--version']).then(
        () => undefined,
        (error: Error) => error.message,
      ),
    probeKvm: () => probe('kvm', options),
    onKvm: opening({ kind: 'kvm' }),
    async withoutKvm(kvm) {
      const tcg = await probe('tcg', options);
      const { works, reason, loopSeconds = 0, hostLoopSeconds = 1 } = tcg;
      if (!works) {
        throw new Error(`virtual machines do not run here, with KVM (${kvm.reason}) or without: ${reason}`);
      }
      const times = Math.round(loopSeconds / hostLoopSeconds);
      return {
        ...opening(await translator(exec)),
        slowness: `Virtual machines are slow here: without KVM (${kvm.reason}) a loop takes ${times} times as long in one as outside`,
      };
    },
  };
}

function opening(accelerator: Accelerator): FoundVmm {
  return { open: (exec, logger) => openQemu({ accelerator, mostLayers: MOST_LAYERS, exec, logger }) };
}
