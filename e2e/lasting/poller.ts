import type { Sandbox } from 'e2b';
import { until } from '../setup/until.ts';

const PATIENCE_MS = 10_000;

/**
 * Waits for pipes with epoll, and says what it is told after a first and a second time that it was saved and restored. In
 * between, it closes all but one of the pipes.
 */
const PROGRAM = `
import os, select, time

def until_restored(times):
    open('/tmp/waiting-for', 'w').write(str(times))
    while not os.path.exists(f'/tmp/restored-{times}'):
        time.sleep(0.02)

poll = select.epoll()
pipes = [os.pipe() for _ in range(6)]
for reader, _ in pipes:
    poll.register(reader, select.EPOLLIN)
until_restored(1)
told = [poll.poll(0)]
for reader, writer in pipes[1:]:
    os.close(writer)
    poll.unregister(reader)
    os.close(reader)
until_restored(2)
told.append(poll.poll(0))
os.write(pipes[0][1], b'x')
told.append([fd == pipes[0][0] for fd, _ in poll.poll(0)])
open('/tmp/told', 'w').write(repr(told))
`;

/** What a poller says that is told of nothing but the pipe that is still open, once there is something in it. */
export const TOLD_RIGHT = '[[], [], [True]]';

/** Starts a program in which the runtime's memory of files that are closed shows: see decisions/0017. */
export async function startPoller(sandbox: Sandbox): Promise<void> {
  await sandbox.files.write('/tmp/poller.py', PROGRAM);
  await sandbox.commands.run('python3 /tmp/poller.py', { background: true, timeoutMs: 0 });
}

/** Waits until it is to be saved for the first or the second time. */
export async function untilWaiting(sandbox: Sandbox, times: 1 | 2): Promise<void> {
  await until(
    `it waits for restore ${times}`,
    PATIENCE_MS,
    () => sandbox.files.read('/tmp/waiting-for').catch(() => ''),
    (waitingFor) => waitingFor === String(times),
  );
}

/** Tells it that it was restored so many times. */
export async function tellRestored(sandbox: Sandbox, times: 1 | 2): Promise<void> {
  await sandbox.files.write(`/tmp/restored-${times}`, '');
}

/** What it was told by then, after the second restore. */
export function whatItWasTold(sandbox: Sandbox): Promise<string> {
  return until(
    'it says what it was told',
    PATIENCE_MS,
    () => sandbox.files.read('/tmp/told').catch(() => ''),
    (text) => text !== '',
  );
}
