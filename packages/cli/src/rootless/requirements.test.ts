import { describe, expect, it } from 'vitest';
import { type RootlessFacts, rootlessTroubles } from './requirements.ts';

const failed = (stderr: string) => ({ code: 1, stdout: '', stderr });
const facts: RootlessFacts = {
  user: 'ann',
  uid: 1001,
  missing: [],
  subuid: 'bob:100000:65536\nann:165536:65536\n',
  subgid: 'bob:100000:65536\n1001:165536:65536\n',
  attempt: { code: 0, stdout: '', stderr: '' },
  tun: 'usable',
  sysctls: {
    maxNetNamespaces: 1000,
    maxUserNamespaces: 1000,
    maxMntNamespaces: 1000,
    unprivilegedUserns: undefined,
    appArmorRestrictsUserns: undefined,
  },
};
const fixes = (changed: Partial<RootlessFacts>) =>
  rootlessTroubles({ ...facts, ...changed }).map(({ fix }) => fix);
const denied = failed('unshare: write failed /proc/self/uid_map: Operation not permitted');

describe('what an ordinary user needs to run Islet', () => {
  it('is there on a machine that gives it', () => {
    expect(fixes({})).toEqual([]);
  });

  it('is packages, named in one command', () => {
    expect(fixes({ missing: ['uidmap', 'passt'], attempt: denied })).toEqual([
      'apt-get install --no-install-recommends uidmap passt',
    ]);
  });

  it('is a range of ids behind those of others, where it is missing', () => {
    expect(fixes({ subuid: 'bob:100000:65536\n', attempt: denied })).toEqual([
      'usermod --add-subuids 231072-296607 ann',
    ]);
    expect(fixes({ subuid: '', subgid: '# none\nann:5:10\n', attempt: denied })).toEqual([
      'usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ann',
    ]);
  });

  it.each([
    [{ appArmorRestrictsUserns: 1 }, 'sysctl -w kernel.apparmor_restrict_unprivileged_userns=0'],
    [{ unprivilegedUserns: 0 }, 'sysctl -w kernel.unprivileged_userns_clone=1'],
    [{ maxUserNamespaces: 0 }, 'sysctl -w user.max_user_namespaces=65536'],
    [{}, 'run Islet as root'],
  ])('is a kernel that lets users make namespaces: %j', (sysctls, fix) => {
    expect(fixes({ attempt: denied, sysctls: { ...facts.sysctls, ...sysctls } })).toEqual([fix]);
  });

  it('is a device for the network', () => {
    expect(fixes({ tun: 'forbidden' })).toEqual(['chmod 0666 /dev/net/tun']);
    expect(fixes({ tun: 'absent' })).toEqual(['modprobe tun']);
  });
});
