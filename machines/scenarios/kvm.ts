import { agent, installSdk, RunningIslet } from '../guest/islet.ts';
import { expectNothingLeft, residue } from '../guest/residue.ts';
import { CHECKOUT } from '../image/prepared.ts';
import { firstSandbox } from './readme.ts';
import type { Context } from './scenario.ts';

const SUITE_MS = 3 * 60 * 60_000;
const QUESTION_MS = 15 * 60_000;

/** Sandboxes as virtual machines under a KVM that works: the processor offers AMD's extensions, which QEMU translates. */
export const KVM_HARDWARE = { cpu: 'EPYC,+svm,+npt', memoryMib: 6144 };

/** Suites that say whether the microVM driver keeps its promises under KVM. */
const SUITES = [
  [
    'the driver contract',
    'ISLET_CONTRACT_ACCELERATOR=kvm npx --no-install vitest run --project unit packages/driver-microvm/test/microvm.test.ts',
  ],
  ['e2e/microvm', 'ISLET_ISOLATION=microvm npx --no-install vitest run --project microvm'],
] as const;

export async function microvmUnderKvm(context: Context): Promise<void> {
  const { machine, step, signal, note } = context;
  await step('KVM is there', () =>
    machine.root.run('modprobe kvm_amd && test -c /dev/kvm', { signal, timeoutMs: QUESTION_MS }),
  );
  const before = await residue(machine, signal);
  await installSdk(machine, signal, CHECKOUT);
  {
    const command = `cd ${CHECKOUT} && ./islet up --isolation microvm`;
    await using islet = await step(command, () =>
      RunningIslet.start(machine.user, command, { signal, isFirst: true }),
    );
    await step('its sandboxes run under KVM', async () => {
      const id = await firstSandbox(machine, signal);
      await machine.root.run("pgrep -a qemu-system | grep -- 'accel[= ]kvm'", {
        signal,
        timeoutMs: QUESTION_MS,
      });
      await agent(machine, islet, ['command', id], signal);
    });
    const { passed } = await step("the SDK's core", () => agent(machine, islet, ['core'], signal));
    note(`passed: ${(passed as string[]).join(', ')}`);
    await step('Ctrl-C leaves nothing', async () => {
      await islet.stop();
      expectNothingLeft(before, await residue(machine, signal));
    });
  }
  for (const [title, command] of SUITES) {
    const printed = await step(title, () =>
      machine.root.run(`cd ${CHECKOUT} && ${command}`, { signal, timeoutMs: SUITE_MS }),
    );
    note(
      printed
        .split('\n')
        .filter((line) => /^\s*(Test Files|Tests) /.test(line))
        .join('; '),
    );
  }
}
