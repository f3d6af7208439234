import { spawn } from 'node:child_process';
import { once } from 'node:events';

const ARGUMENTS = [
  ...['-nodefaults', '-no-user-config', '-display', 'none'],
  ...['-M', 'microvm,acpi=on', '-accel', 'tcg', '-m', '512', '-S', '-qmp', 'stdio'],
];

/** Starts a QEMU without a guest and ends it. @returns milliseconds from the start until it takes commands. */
export async function spawnBareQemu(): Promise<number> {
  const begin = performance.now();
  const qemu = spawn('qemu-system-x86_64', ARGUMENTS, { stdio: ['pipe', 'pipe', 'ignore'] });
  const exit = once(qemu, 'exit');
  await once(qemu.stdout, 'data');
  const ms = performance.now() - begin;
  qemu.stdin.write('{"execute":"qmp_capabilities"}\n{"execute":"quit"}\n');
  await exit;
  return ms;
}
