import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { DaemonSet, Deployment, StatefulSet } from 'kubernetes-models/apps/v1';
import { Job } from 'kubernetes-models/batch/v1';
import { ConfigMap, Namespace, Service } from 'kubernetes-models/v1';
import { describe, expect, it } from 'vitest';
import { DEPLOY, described, hcl, kustomized, yaml } from './described.ts';

const run = promisify(execFile);
const ROOT = resolve(DEPLOY, '..');

/** Every variable that the reference has, which is checked against the code. */
async function variables(): Promise<Set<string>> {
  const text = await readFile(join(ROOT, 'docs/reference.md'), 'utf8');
  return new Set([...text.matchAll(/`([A-Z][A-Z0-9_]+)`/g)].map(([, name = '']) => name));
}

const FOLDERS = ['systemd', 'nomad', 'kubernetes/base', 'kubernetes/trial', 'containers'];

it('names no setting that Islet does not have', async () => {
  const known = await variables();
  expect(known).toContain('ISLET_DATA_DIR');
  for (const folder of FOLDERS) {
    for (const { name, text } of await described(folder, '')) {
      const named = [...text.matchAll(/\b(ISLET_[A-Z_]+|DATABASE_URL)\b/g)].map(([variable]) => variable);
      expect(
        named.filter((variable) => !known.has(variable)),
        `${folder}/${name}`,
      ).toEqual([]);
    }
  }
});

describe('the units of systemd', () => {
  it('are ones that systemd takes without a word', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'islet-units-'));
    try {
      for (const { name, text } of await described('systemd', '.service')) {
        const unit = join(dir, name);
        const verify = () => run('systemd-analyze', ['verify', '--man=no', '--generators=no', unit]);
        const installed = text.replace('/usr/bin/islet', join(ROOT, 'islet'));
        expect(installed).not.toBe(text);
        await writeFile(unit, installed);
        expect(await verify(), name).toEqual({ stdout: '', stderr: '' });
        // It does look.
        await writeFile(unit, text.replace('/usr/bin/islet', '/nonexistent/islet'));
        await expect(verify()).rejects.toThrow(/is not executable/);
      }
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  it('leave the sandboxes of a node that has crashed to be adopted', async () => {
    const node = await readFile(join(DEPLOY, 'systemd/islet-node.service'), 'utf8');
    expect(node).toMatch(/^KillMode=process$/m);
    expect(node).not.toMatch(
      /^(Private|Protect|ReadOnly|ReadWrite|Inaccessible|Bind|TemporaryFile|StateDirectory)/m,
    );
  });
});

interface NomadGroup {
  network: { port: Record<string, { static: number }[]> }[];
  service?: { port: string; check: object[] }[];
  task: Record<
    string,
    { driver: string; config: { command?: string; args: string[] }[]; resources: object[] }[]
  >;
}
interface NomadJob {
  type: string;
  group: Record<string, NomadGroup[]>;
}

describe('the jobs of Nomad', () => {
  it('are HCL, and declare what they use', async () => {
    for (const file of await described('nomad', '.nomad.hcl')) {
      const { variable = {} } = (await hcl(file)) as { variable?: Record<string, object> };
      const used = [...file.text.matchAll(/\bvar\.([a-z_]+)/g)].map(([, name]) => name);
      expect([...new Set(used)].sort(), file.name).toEqual(Object.keys(variable).sort());
    }
    const [values] = await described('nomad', 'variables.hcl.example');
    expect(Object.keys(await hcl(values as never))).toContain('domain');
  });

  it('run each role in the way that it wants', async () => {
    const types: Record<string, string> = {};
    for (const file of await described('nomad', '.nomad.hcl')) {
      const { job } = (await hcl(file)) as { job: Record<string, NomadJob[]> };
      for (const [name, [described]] of Object.entries(job)) {
        types[name] = described?.type ?? '';
        for (const [group] of Object.values(described?.group ?? {})) {
          const ports = Object.keys(group?.network?.[0]?.port ?? {});
          for (const { port, check } of group?.service ?? []) {
            expect(ports, `${name}: a service's port`).toContain(port);
            expect(check).toHaveLength(1);
          }
          for (const [task] of Object.values(group?.task ?? {})) expect(task?.resources).toHaveLength(1);
        }
      }
    }
    expect(types).toEqual({
      ...{ 'islet-api': 'service', 'islet-edge': 'service', 'islet-node': 'system' },
      ...{ 'islet-migrate': 'batch', 'islet-trial': 'service' },
    });
  });
});

it('describes services to Consul in HCL, each with a check', async () => {
  for (const file of await described('consul', '.hcl')) {
    const { service } = (await hcl(file)) as { service?: { name: string; port: number; check: object[] }[] };
    if (!file.name.startsWith('islet-')) continue;
    expect(service, file.name).toMatchObject([
      { name: file.name.replace('.hcl', ''), check: [{ interval: '5s' }] },
    ]);
  }
});

const KINDS = { ConfigMap, DaemonSet, Deployment, Job, Namespace, Service, StatefulSet };

interface KubernetesObject {
  apiVersion: string;
  kind: keyof typeof KINDS;
  metadata: { name: string; namespace?: string };
}

describe.each(['base', 'trial'])('the objects of Kubernetes in %s', (folder) => {
  it('fit the schemas of its API', async () => {
    const objects = (await kustomized(`kubernetes/${folder}`)) as KubernetesObject[];
    for (const object of objects) {
      const Model = KINDS[object.kind] as unknown as new (data: object) => { validate(): void };
      expect(Model, `a schema of ${object.kind}`).toBeDefined();
      const validate = () => new Model(object).validate();
      expect(validate, `${object.kind} ${object.metadata.name}`).not.toThrow();
      if (object.kind !== 'Namespace') expect(object.metadata.namespace).toBe('islet');
    }
    const kinds = objects
      .filter(({ metadata }) => metadata.name.startsWith('islet-'))
      .map(({ kind }) => kind);
    expect(kinds).toEqual(expect.arrayContaining(['Deployment', 'DaemonSet', 'Job', 'StatefulSet']));
    // They do look.
    expect(() => new Deployment({ spec: { replicas: 'two' } } as never).validate()).toThrow();
  });

  it('take images that there are, and secrets that the README has made', async () => {
    const text = JSON.stringify(await kustomized(`kubernetes/${folder}`));
    const containerfile = await readFile(join(DEPLOY, 'containers/Containerfile'), 'utf8');
    const targets = [...containerfile.matchAll(/^FROM islet AS (\w+)$/gm)].map(([, name]) => `islet-${name}`);
    const images = [...text.matchAll(/"image":"(islet-[^"]*)"/g)].map(([, name]) => name);
    expect(new Set(images)).toEqual(new Set(targets));
    const readme = await readFile(join(DEPLOY, 'kubernetes/README.md'), 'utf8');
    const secrets = [
      ...text.matchAll(/"(?:secretRef|secretKeyRef)":\{[^}]*"name":"([^"]+)"|"secretName":"([^"]+)"/g),
    ];
    expect(secrets.length).toBeGreaterThan(3);
    for (const [, reference, volume] of secrets) {
      expect(readme).toContain(`create secret generic ${reference ?? volume}`);
    }
  });
});

it('describes the stores of a trial to compose', async () => {
  const file = (await described('compose', '.yml')).find(({ name }) => name === 'stores.yml');
  const [{ services, volumes }] = yaml(file?.text ?? '') as [
    { services: Record<string, { image: string; ports: string[]; volumes?: string[] }>; volumes: object },
  ];
  expect(Object.keys(services)).toEqual(['postgres', 'redis', 'clickhouse', 'store']);
  for (const { image, ports, volumes: mounted = [] } of Object.values(services)) {
    expect(image).toMatch(/^docker\.io\/[a-z/-]+:[0-9.]+$/);
    // Open on loopback unless an address is chosen.
    expect(ports).toEqual([expect.stringMatching(/^\$\{ISLET_TRIAL_ADDRESS:-127\.0\.0\.1\}:(\d+):\1$/)]);
    for (const volume of mounted) expect(Object.keys(volumes)).toContain(volume.split(':')[0]);
  }
});
