import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { lastLogged, lastMessage, processIds, readState } from './runsc-files.ts';

const release = { name: 'release-20260525.0', isTested: false };
const ids = (state: unknown) => processIds(JSON.stringify(state), release);

it('finds the processes of a sandbox, the sentry first', () => {
  expect(ids({ goferPid: 8, sandbox: { pid: 7 } })).toEqual([7, 8]);
  expect(ids({ goferPid: 0, sandbox: { pid: 7 } })).toEqual([7]);
  expect(ids({ goferPid: 8, sandbox: null })).toEqual([8]);
});

it.each([
  null,
  [],
  {},
  { goferPid: '8' },
  { sandbox: { pid: { value: 7 } } },
  { sandbox: { pid: -1 } },
  { sandbox: 7 },
])('says of %j that this runsc is another one, and what to do', (state) =>
  expect(() => ids(state)).toThrow(/^runsc release-20260525.0 keeps .*: install runsc of release 20240729/),
);

it('refuses what is no JSON in the same words', () => {
  expect(() => processIds('', release)).toThrow('in a form that Islet does not know');
});

it('takes the last message of a log, without what follows its line, and shortened', () => {
  const line = (msg: string) => `${JSON.stringify({ msg, level: 'error' })}\n`;
  expect(lastMessage(line('first') + line('last\ngoroutine 1:'))).toBe('last');
  const trace = `goroutine 7 [running]:
gvisor.dev/gvisor/pkg/state.safely.func1()
	gvisor.dev/gvisor/pkg/state/state.go:309 +0x170
panic({0x1196060?, 0x20b96d0?})
	runtime/panic.go:792 +0x132
gvisor.dev/gvisor/pkg/tcpip/transport/tcp.(*Endpoint).resetConnectionLocked(0xc000954708, {0x1593460?, 0x210ec60?})
	gvisor.dev/gvisor/pkg/tcpip/transport/tcp/connect.go:1037 +0x84
gvisor.dev/gvisor/pkg/tcpip/transport/tcp.(*Endpoint).beforeSave(0xc000954708)
gvisor.dev/gvisor/pkg/state.Save()`;
  expect(lastMessage(line(`encoding error:\n${trace}`))).toBe(
    'encoding error: in pkg/tcpip/transport/tcp.(*Endpoint).resetConnectionLocked in pkg/tcpip/transport/tcp.(*Endpoint).beforeSave',
  );
  expect(lastMessage(line('x'.repeat(9000)))).toHaveLength(500);
  expect(lastMessage('no JSON')).toBeUndefined();
});

it('reads the end of a log that has none, and nothing if there is no file', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'islet-runsc-'));
  try {
    const log = join(dir, 'log');
    await writeFile(log, `{"msg":"${'x'.repeat(200_000)}"}\n{"msg":"last"}\n`);
    expect(await lastLogged(log)).toBe('last');
    expect(await lastLogged(join(dir, 'none'))).toBeUndefined();
    expect(await readState(join(dir, 'none'), release)).toBeUndefined();
  } finally {
    await rm(dir, { recursive: true });
  }
});
