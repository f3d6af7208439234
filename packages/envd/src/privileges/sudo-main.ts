import { SystemError } from '@islet/posix-spawn';
import { createDescriptorPassing } from '../native/descriptor-passing.ts';
import { FORWARDED_SIGNALS, jsonLines, SUDO_SOCKET, type SudoAnswer, type SudoRequest } from './protocol.ts';

// The command that stands in front of sudo: hands its own input and output to envd and waits for the end.

function open() {
  try {
    return createDescriptorPassing().connect(process.env.ISLET_SUDO_SOCKET ?? SUDO_SOCKET, [0, 1, 2]);
  } catch (error) {
    const reason = error instanceof SystemError ? error.code : String(error);
    process.stderr.write(`sudo: cannot reach the sandbox's daemon: ${reason}\n`);
    process.exit(1);
  }
}

const socket = open();
const request: SudoRequest = {
  args: process.argv.slice(2),
  env: Object.fromEntries(
    Object.entries(process.env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  ),
  cwd: process.cwd(),
};
for (const signal of FORWARDED_SIGNALS) {
  process.on(signal, () => socket.write(`${JSON.stringify({ signal })}\n`));
}
const end = ({ exitCode, signal, message }: SudoAnswer) => {
  const stream = exitCode === 0 ? process.stdout : process.stderr;
  if (message !== undefined) stream.write(`${message}\n`);
  if (signal === undefined) process.exit(exitCode ?? 1);
  for (const forwarded of FORWARDED_SIGNALS) process.removeAllListeners(forwarded);
  process.kill(process.pid, signal);
  // Only of a signal that does not end a process one returns.
  process.exit(128 + signal);
};
socket.on(
  'data',
  jsonLines((answer) => end(answer as SudoAnswer)),
);
socket.on('error', () => {});
socket.on('close', () => end({ exitCode: 1, message: "sudo: the sandbox's daemon is gone" }));
socket.write(`${JSON.stringify(request)}\n`);
