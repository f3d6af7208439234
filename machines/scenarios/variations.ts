import { agent, installSdk, RunningIslet } from '../guest/islet.ts';
import { expectNothingLeft, residue } from '../guest/residue.ts';
import { CHECKOUT } from '../image/prepared.ts';
import { USER } from '../image/recipe.ts';
import { firstSandbox } from './readme.ts';
import type { Context, Scenario } from './scenario.ts';

const SET_UP_MS = 60 * 60_000;
const QUESTION_MS = 15 * 60_000;

/** A machine that differs from a usual one, and a user who starts Islet there. */
interface Variation {
  name: string;
  description: string;
  /** Makes the machine so, as root. */
  setUp: string;
  /** What has to be done again by a restart before it is so. */
  reboots?: boolean;
  hardware?: Scenario['hardware'];
  /** What the user types. */
  command: string;
  /** Whose checkout it is, if it is not where a prepared machine has it. */
  checkout?: string;
  /** A question before the start, and its answer. */
  asked?: [question: RegExp, answer: string];
  /** What else has to be so while Islet runs. */
  alsoTrue?: (context: Context, islet: RunningIslet) => Promise<void>;
}

/** A first start of Islet under the conditions of a variation, curl, a command, a stop. */
function scenario(variation: Variation): Scenario {
  const { name, description, hardware, setUp, command, asked } = variation;
  const checkout = variation.checkout ?? CHECKOUT;
  return {
    ...{ name, description, image: 'prepared', hardware },
    async run(context) {
      const { machine, step, signal } = context;
      await step('the machine is made so', () => machine.root.run(setUp, { signal, timeoutMs: SET_UP_MS }));
      if (variation.reboots) await step('the machine is rebooted', () => machine.reboot());
      const before = await residue(machine, signal);
      await using islet = await step(command, () =>
        RunningIslet.start(machine.user, command, { signal, isFirst: true, asked }),
      );
      const id = await step('the curl command: 201', () => firstSandbox(machine, signal));
      await installSdk(machine, signal, checkout);
      await step('a command in that sandbox', () => agent(machine, islet, ['command', id], signal));
      await variation.alsoTrue?.(context, islet);
      await step('Ctrl-C leaves nothing', async () => {
        await islet.stop();
        expectNothingLeft(before, await residue(machine, signal));
      });
    },
  };
}

/** @throws if doctor does not say it */
async function expectDoctorSays({ machine, step, signal }: Context, pattern: RegExp): Promise<void> {
  await step(`./islet doctor says ${pattern}`, async () => {
    const { stdout, stderr } = await machine.user.attempt(`cd ${CHECKOUT} && ./islet doctor`, {
      signal,
      timeoutMs: QUESTION_MS,
    });
    if (!pattern.test(stdout)) throw new Error(`doctor said:\n${stdout}\n${stderr}`);
  });
}

const install = (...packages: string[]) => `
export DEBIAN_FRONTEND=noninteractive
apt-get update -q && apt-get install -q -y --no-install-recommends ${packages.join(' ')}`;

/** A server that is neither the machine nor in a private network: in a namespace that the machine forwards to. */
const OUTSIDE_URL = 'http://5.5.5.2:8000/';
const MAKE_OUTSIDE = `
ip netns add outside
ip link add outside0 type veth peer name eth0 netns outside
ip addr add 5.5.5.1/24 dev outside0 && ip link set outside0 up
ip -n outside addr add 5.5.5.2/24 dev eth0 && ip -n outside link set eth0 up && ip -n outside link set lo up
systemd-run -q --unit outside ip netns exec outside node -e 'require("http").createServer((_, r) => r.end("outside")).listen(8000)'`;

const START = `cd ${CHECKOUT} && ./islet up`;

export const variations: readonly Scenario[] = [
  {
    name: 'unusual-account',
    description: 'sudo that asks for a password, a path with spaces, umask 077, a German locale',
    setUp: `set -e
rm /etc/sudoers.d/90-user
${install('libc-l10n', 'util-linux-locales')}
echo 'de_DE.UTF-8 UTF-8' > /etc/locale.gen && locale-gen && echo LANG=de_DE.UTF-8 > /etc/default/locale
echo 'umask 077' >> /home/${USER.name}/.profile
mkdir '/home/${USER.name}/my projects' && mv ${CHECKOUT} '/home/${USER.name}/my projects/islet 1'
chmod -R go= '/home/${USER.name}/my projects' && chown ${USER.name}: '/home/${USER.name}/my projects'`,
    checkout: `/home/${USER.name}/my projects/islet 1`,
    command: `locale | grep -q LANG=de && umask | grep -q 077 && cd 'my projects/islet 1' && ./islet up`,
    asked: [/\[sudo\].*: ?$/, USER.password],
  } satisfies Variation,
  {
    name: 'doas',
    description: 'doas in place of sudo, a home folder that is read-only, a checkout elsewhere',
    setUp: `set -e
${install('opendoas')}
apt-get purge -q -y sudo
echo 'permit nopass ${USER.name}' > /etc/doas.conf
mv ${CHECKOUT} /srv/islet && rm -rf /srv/islet/node_modules/.package-lock.json
mkdir -p /home/${USER.name}/agent && chown ${USER.name}: /home/${USER.name}/agent
mount --bind /home/${USER.name} /home/${USER.name} && mount -o remount,bind,ro /home/${USER.name}
mount -t tmpfs -o uid=1000 agent /home/${USER.name}/agent`,
    checkout: '/srv/islet',
    command: '! touch ~/x && cd /srv/islet && ./islet up',
  } satisfies Variation,
  {
    name: 'su',
    description: 'neither sudo nor doas: root by su; no IPv6',
    setUp: `set -e
SUDO_FORCE_REMOVE=yes apt-get purge -q -y sudo
echo root:${USER.password} | chpasswd`,
    hardware: { kernelArguments: ['ipv6.disable=1'] },
    command: `! test -e /proc/sys/net/ipv6 && cd ${CHECKOUT} && ! ./islet up && su -c '"${CHECKOUT}/islet" up'`,
    asked: [/Password: ?$/, USER.password],
  } satisfies Variation,
  {
    name: 'http-proxy',
    description: 'no way out but an HTTP proxy',
    setUp: `set -e
${install('tinyproxy', 'nftables')}
sed -i 's/^#\\?\\(ConnectPort 443\\)/\\1/' /etc/tinyproxy/tinyproxy.conf && systemctl restart tinyproxy
nft -f - <<'RULES'
table inet only_the_proxy {
  chain output {
    type filter hook output priority filter; policy accept;
    meta skuid tinyproxy accept
    ip daddr != { 127.0.0.0/8, 10.0.0.0/8 } reject
  }
}
RULES
printf '%s\\n' 'export http_proxy=http://127.0.0.1:8888 https_proxy=http://127.0.0.1:8888 no_proxy=localhost,127.0.0.1' >> /home/${USER.name}/.profile`,
    command: START,
    alsoTrue: (context) => expectDoctorSays(context, /the proxy 127\.0\.0\.1 is reachable/),
  } satisfies Variation,
  {
    name: 'docker',
    description: "Docker's firewall rules, by Docker",
    setUp: `set -e
${install('docker.io', 'iptables')}
systemctl start docker && nft list chain ip filter FORWARD | grep -q 'policy drop'
${MAKE_OUTSIDE}`,
    command: START,
    alsoTrue: (context, islet) => otherFirewall(context, islet, /Docker \(table ip filter\) drops/),
  } satisfies Variation,
  {
    name: 'firewalld',
    description: 'firewalld with its default zone',
    setUp: `set -e
${install('firewalld')}
systemctl start firewalld && nft list table inet firewalld >/dev/null
${MAKE_OUTSIDE}`,
    command: START,
    alsoTrue: (context, islet) => otherFirewall(context, islet, /firewalld \(table inet firewalld\) drops/),
  } satisfies Variation,
  {
    name: 'apparmor',
    description: 'an AppArmor profile that denies a program of Islet something',
    setUp: `set -e
${install('apparmor', 'apparmor-utils')}
aa-status --enabled`,
    command: START,
    alsoTrue: async (context) => {
      const { machine, signal } = context;
      await expectDoctorSays(context, /AppArmor and SELinux: denied nothing/);
      const script = `printf '%s\\n' 'profile machines-test /usr/sbin/nft { /** mr, deny capability net_admin, network, }' | apparmor_parser -r`;
      await machine.root.run(script, { signal, timeoutMs: QUESTION_MS });
      await expectDoctorSays(context, /AppArmor denied nft "capable net_admin" under machines-test/);
      await machine.root.run(`printf 'profile machines-test /usr/sbin/nft { }' | apparmor_parser -R`, {
        signal,
        timeoutMs: QUESTION_MS,
      });
    },
  } satisfies Variation,
].map(scenario);

/**
 * Doctor names the firewall, which keeps a sandbox from a server outside; what doctor says to do lets it through.
 */
async function otherFirewall(context: Context, islet: RunningIslet, pattern: RegExp): Promise<void> {
  const { machine, step, signal } = context;
  const reaches = async () => (await agent(machine, islet, ['reach', OUTSIDE_URL], signal)).reached;
  await expectDoctorSays(context, pattern);
  await step('a sandbox does not reach the outside', async () => {
    if (await reaches()) throw new Error('it does: the firewall drops nothing');
  });
  await step('what doctor says to do lets it through', async () => {
    await machine.root.run(await doctorsFix(context), { signal, timeoutMs: QUESTION_MS });
    if (!(await reaches())) throw new Error('it does not reach the outside yet');
  });
  await expectDoctorSays(context, /none drops what sandboxes send/);
}

/** The command that doctor names for other firewalls. */
async function doctorsFix({ machine, signal }: Context): Promise<string> {
  const { stdout } = await machine.user.attempt(`cd ${CHECKOUT} && ./islet doctor --json`, {
    signal,
    timeoutMs: QUESTION_MS,
  });
  const { checks } = JSON.parse(stdout) as { checks: { id: string; fix?: string }[] };
  const fix = checks.find(({ id }) => id === 'other-firewalls')?.fix;
  if (!fix) throw new Error(`doctor names no command:\n${stdout}`);
  return fix.replace(/ \([^)]*\)$/, '');
}
