import { describe, expect, it } from 'vitest';
import { type Effects, PublishedApi } from './published-api.ts';

/** That a test of the driver could fail: the server refuses what Firecracker refuses. */
describe('the server that stands for Firecracker', () => {
  const nothing: Effects = {
    ...{
      open: () => {},
      attachTap: () => {},
      start: () => {},
      pause: () => {},
      resume: () => {},
      save: () => {},
    },
    load: () => ({
      vcpuCount: 1,
      memoryMib: 128,
      drives: [],
      taps: [],
      balloonMib: undefined,
      entropy: false,
    }),
  };
  const machine = 'PUT /machine-config {"vcpu_count":1,"mem_size_mib":128}';
  const kernel = 'PUT /boot-source {"kernel_image_path":"/kernel"}';
  const start = 'PUT /actions {"action_type":"InstanceStart"}';
  const pause = 'PATCH /vm {"state":"Paused"}';
  const resume = 'PATCH /vm {"state":"Resumed"}';
  const create = 'PUT /snapshot/create {"snapshot_path":"/devices","mem_file_path":"/memory"}';
  const load =
    'PUT /snapshot/load {"snapshot_path":"/devices","mem_backend":{"backend_type":"File","backend_path":"/memory"}}';
  const drive =
    'PUT /drives/disk {"drive_id":"disk","path_on_host":"/disk","is_root_device":false,"is_read_only":false}';
  const send = (calls: readonly string[]) => {
    const api = new PublishedApi('1.14.1', nothing);
    return calls.map((call) => {
      const [method = '', path = '', ...content] = call.split(' ');
      const { body, status } = api.handle(method, path, content.join(' '));
      return `${status} ${(body as { fault_message?: string } | undefined)?.fault_message ?? ''}`.trim();
    });
  };

  it.each([
    ['a boot, pauses and a snapshot', [machine, kernel, drive, start, pause, pause, create, resume, resume]],
    ['a start from a snapshot', [load, resume, pause, create]],
  ])('takes %s', (_, sequence) => {
    expect(send(sequence)).toEqual(sequence.map(() => '204'));
  });

  it.each([
    ['a start without a kernel', [machine, start], /without kernel/],
    ['a second start', [kernel, start, start], /after starting/],
    ['a drive after the start', [kernel, start, drive], /after starting/],
    ['a pause before the start', [kernel, pause], /before starting/],
    ['a snapshot of a running machine', [kernel, start, create], /unavailable while running/],
    ['a load after the machine was told of', [machine, load], /not allowed after configuring/],
    ['a load after the start', [kernel, start, load], /after starting/],
    ['a load from two memories', [load.replace('{', '{"mem_file_path":"/m",')], /only one of them/],
    ['an unknown field', [machine.replace('}', ',"ht_enabled":false}')], /unknown field `ht_enabled`/],
    ['a missing field', ['PUT /machine-config {"vcpu_count":1}'], /missing field `mem_size_mib`/],
    ['a field of another type', ['PUT /machine-config {"vcpu_count":"1","mem_size_mib":1}'], /no integer/],
    ['an unknown word', ['PATCH /vm {"state":"Running"}'], /unknown variant "Running"/],
    ['a nested field that is unknown', [load.replace('"File"', '"Fd"')], /unknown variant "Fd"/],
    ['too many CPUs', ['PUT /machine-config {"vcpu_count":33,"mem_size_mib":128}'], /1 to 32/],
    ['a drive under another name', [drive.replace('/drives/disk', '/drives/other')], /does not match/],
    [
      'a name with a hyphen',
      [drive.replaceAll('"disk"', '"my-disk"').replace('/drives/disk', '/drives/my-disk')],
      /underscores/,
    ],
    [
      'a method that is not there',
      ['PUT /vm {"state":"Paused"}'],
      /Invalid request method and\/or path: PUT vm/,
    ],
    ['a request without a body', ['PUT /entropy'], /Empty PUT request/],
    ['what is no JSON', ['PUT /entropy {'], /deserializing/],
  ])('refuses %s', (_, sequence, fault) => {
    expect(send(sequence).at(-1)).toMatch(fault);
    expect(send(sequence).at(-1)).toMatch(/^400/);
  });
});
