import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Undo } from '@islet/contracts';
import { build } from 'esbuild';
import { copyKoffi, koffiBesideBundle } from '../../../envd/bundle.mjs';
import type { EgressPolicy, GatedSandbox } from '../../src/index.ts';
import { Agent } from './agent.ts';

export const SANDBOX = '10.99.0.2';
/** Another one, which shares the first one's namespace. */
export const NEIGHBOUR = '10.99.0.3';
const MARK = '0x45475253';
/** Where the internet's servers are reached; the last one is somebody who owns no name. */
export const SERVERS = ['1.1.1.1', '8.8.8.8', '9.9.9.9', '5.5.5.5'];

/** Sandboxes, their host with the gateway, and an internet, in three network namespaces. */
export interface World extends AsyncDisposable {
  host: Agent;
  client: Agent;
  internet: Agent;
  /** Starts another host's side, which the firewall sends nothing to. */
  secondHost(): Promise<Agent>;
  /** Puts a policy in force; what is not named allows everything. */
  allow(policy: Partial<EgressPolicy>, over?: Partial<GatedSandbox>): Promise<void>;
}

const OPEN: EgressPolicy = { allowOut: [], denyOut: [], learning: false, rules: [] };

function gated(policy: Partial<EgressPolicy>, over: Partial<GatedSandbox> = {}): GatedSandbox {
  return {
    ...{ address: SANDBOX, teamId: 't', sandboxId: 's', executionId: 'e', templateId: 'm', buildId: 'b' },
    ...{ workloadTokens: [], policy: { ...OPEN, ...policy } },
    ...over,
  };
}

/**
 * @param id tells this world's namespaces from others'
 * @param direct the address of a sandbox that goes around the gateway, by the host's address translation
 */
export async function openWorld(id: string, direct?: string): Promise<World> {
  const dir = mkdtempSync(join(tmpdir(), 'islet-egress-'));
  const names = { sandbox: `egress-${id}-s`, host: `egress-${id}-h`, internet: `egress-${id}-i` };
  const undo = new Undo();
  try {
    undo.add('the programs', () => rmSync(dir, { recursive: true }));
    await bundlePrograms(dir);
    undo.add('the namespaces', () => removeNamespaces(names));
    makeNamespaces(names);
    const start = (netns: string, program: string) => {
      const agent = new Agent(netns, join(dir, `${program}.mjs`));
      undo.add(program, () => agent.close());
      return agent;
    };
    const internet = start(names.internet, 'internet');
    const host = start(names.host, 'host');
    const client = start(names.sandbox, 'client');
    const { cert, key } = makeCertificate(dir);
    await internet.ask('start', cert, key);
    const around = direct === undefined ? '' : `ip saddr ${direct} accept`;
    redirect(
      names.host,
      around,
      await host.ask<number>('start', join(dir, 'egress-gateway.mjs'), ['8.8.8.8']),
    );
    return {
      ...{ host, client, internet },
      secondHost: async () => {
        const agent = start(names.host, 'host');
        await agent.ask('start', join(dir, 'egress-gateway.mjs'), []);
        return agent;
      },
      allow: (policy, over) => host.ask('set', gated(policy, over)),
      [Symbol.asyncDispose]: () => undo.run(),
    };
  } catch (error) {
    throw await undo.after(error);
  }
}

async function bundlePrograms(dir: string): Promise<void> {
  const agents = ['host', 'internet', 'client'].map((name) => [
    name,
    resolve(import.meta.dirname, '../agents', `${name}.ts`),
  ]);
  await build({
    entryPoints: {
      ...Object.fromEntries(agents),
      'egress-gateway': resolve(import.meta.dirname, '../../src/main.ts'),
    },
    ...{ outdir: dir, outExtension: { '.js': '.mjs' }, bundle: true, platform: 'node', target: 'node20.19' },
    ...{ format: 'esm', mainFields: ['module', 'main'], plugins: [koffiBesideBundle], logLevel: 'error' },
    banner: {
      js: "import { createRequire as createRequireOfBundle } from 'node:module'; const require = createRequireOfBundle(import.meta.url);",
    },
  });
  await copyKoffi(dir);
}

interface Names {
  sandbox: string;
  host: string;
  internet: string;
}

function shell(script: string): void {
  execFileSync('sh', ['-ec', script], { stdio: ['ignore', 'ignore', 'pipe'] });
}

function makeNamespaces({ host, internet, sandbox }: Names): void {
  const addresses = SERVERS.map((address) => `ip -n ${internet} addr add ${address}/32 dev lo`);
  shell(`
    for name in ${sandbox} ${host} ${internet}; do ip netns add $name; ip -n $name link set lo up; done
    ip -n ${host} link add slot type veth peer name eth0 netns ${sandbox}
    ip -n ${host} link add world type veth peer name eth0 netns ${internet}
    ip -n ${host} addr add 10.99.0.1/29 dev slot; ip -n ${host} link set slot up
    ip -n ${host} addr add 172.31.0.1/30 dev world; ip -n ${host} link set world up
    ip -n ${sandbox} addr add ${SANDBOX}/29 dev eth0; ip -n ${sandbox} addr add ${NEIGHBOUR}/29 dev eth0; ip -n ${sandbox} link set eth0 up
    ip -n ${internet} addr add 172.31.0.2/30 dev eth0; ip -n ${internet} link set eth0 up
    ip -n ${sandbox} route add default via 10.99.0.1
    ip -n ${host} route add default via 172.31.0.2
    ip -n ${internet} route add default via 172.31.0.1
    # The host has a public address of its own, as servers do.
    ip -n ${host} addr add 7.7.7.7/32 dev lo
    ${addresses.join('\n')}
    ip netns exec ${host} sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'`);
}

function removeNamespaces(names: Names): void {
  for (const name of Object.values(names)) shell(`ip netns del ${name} 2>/dev/null || true`);
}

/** All TCP of sandboxes goes to the gateway, and none is forwarded. @param around a rule for what is left alone */
function redirect(host: string, around: string, port: number): void {
  shell(`
    ip -n ${host} rule add fwmark ${MARK} lookup 100
    ip -n ${host} route add local 0.0.0.0/0 dev lo table 100
    ip netns exec ${host} nft -f - <<END
    table inet egress {
      chain prerouting {
        type filter hook prerouting priority mangle; policy accept;
        ${around}
        iifname "slot" meta l4proto tcp tproxy ip to 127.0.0.1:${port} meta mark set ${MARK} accept
      }
      chain forward { type filter hook forward priority filter; policy accept; ${around}; iifname "slot" meta l4proto tcp drop; }
      chain postrouting { type nat hook postrouting priority srcnat; policy accept; oifname "world" ip saddr 10.99.0.0/29 masquerade; }
    }
END`);
}

function makeCertificate(dir: string): { cert: string; key: string } {
  const [cert, key] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  const request = '-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=test -days 2';
  shell(`openssl req ${request} -keyout ${key} -out ${cert} 2>/dev/null`);
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}
