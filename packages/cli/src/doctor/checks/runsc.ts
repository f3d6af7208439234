import { access, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { parseRelease, TESTED_RELEASES, untestedTrouble } from '@islet/driver-gvisor';
import { type CheckResult, failed, ok, warning } from '../check.ts';
import { type Confinement, hasCapability } from '../confinement.ts';
import { type Explanation, explainDenial } from '../denial.ts';
import type { Run, RunResult } from '../run.ts';

const ID = 'runsc';
const TITLE = 'gVisor (runsc)';

export interface RunscFacts {
  /** Where it is; undefined if it is not in PATH. */
  path: string | undefined;
  /** First line of `runsc --version`. */
  version: string;
  /** What came of a sandbox that prints one word. */
  sandbox: RunResult;
  confinement: Confinement;
}

const WORD = 'islet-doctor';

/** Runs a sandbox with a network of its own over this machine's /usr, and nothing else. */
export async function probeRunsc(
  run: Run,
  pathVariable: string,
  confinement: Confinement,
): Promise<RunscFacts> {
  const path = await findInPath('runsc', pathVariable);
  const nothing: RunResult = { code: null, stdout: '', stderr: '' };
  if (!path) return { path, version: '', sandbox: nothing, confinement };
  const { stdout } = await run(path, ['--version']);
  const dir = await mkdtemp(join(tmpdir(), 'islet-doctor-'));
  try {
    const bundle = await writeBundle(dir);
    const id = `doctor-${process.pid}`;
    const command = [
      ...[
        path,
        `--root=${join(dir, 'state')}`,
        '--platform=systrap',
        '--network=sandbox',
        '--ignore-cgroups',
      ],
      ...['run', '-bundle', bundle, id],
    ];
    const sandbox = await run('unshare', [
      '--mount',
      '--propagation',
      'slave',
      'sh',
      '-c',
      HIDE_AND_RUN,
      'sh',
      ...command,
    ]);
    return { path, version: stdout.split('\n')[0] ?? '', sandbox, confinement };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/**
 * Older releases of runsc take a file of newer kernels to mean that they stand in the host's network; the node hides it from
 * them, so the probe does the same.
 */
const HIDE_AND_RUN = `
set -e
if unshare --net test -e /proc/sys/net/core/rmem_default; then
  last=$(cat /proc/sys/kernel/cap_last_cap)
  lowest=$(cat /proc/sys/vm/mmap_min_addr)
  mount -t tmpfs -o size=64k tmpfs /proc/sys
  mkdir /proc/sys/kernel /proc/sys/vm
  echo "$last" > /proc/sys/kernel/cap_last_cap
  echo "$lowest" > /proc/sys/vm/mmap_min_addr
fi
exec "$@"
`;

async function writeBundle(dir: string): Promise<string> {
  const bundle = join(dir, 'bundle');
  const rootfs = join(bundle, 'rootfs');
  for (const name of ['usr', 'proc']) await mkdir(join(rootfs, name), { recursive: true });
  for (const name of ['bin', 'lib', 'lib64']) await symlink(`usr/${name}`, join(rootfs, name));
  const spec = {
    ociVersion: '1.0.0',
    process: { user: { uid: 0, gid: 0 }, args: ['/usr/bin/echo', WORD], env: ['PATH=/usr/bin'], cwd: '/' },
    root: { path: 'rootfs', readonly: true },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/usr', type: 'bind', source: '/usr', options: ['bind', 'ro'] },
    ],
    linux: { namespaces: ['pid', 'ipc', 'uts', 'mount', 'network'].map((type) => ({ type })) },
  };
  await writeFile(join(bundle, 'config.json'), JSON.stringify(spec));
  return bundle;
}

async function findInPath(program: string, pathVariable: string): Promise<string | undefined> {
  for (const dir of pathVariable.split(delimiter)) {
    const file = join(dir, program);
    if (
      await access(file).then(
        () => true,
        () => false,
      )
    ) {
      return file;
    }
  }
  return undefined;
}

export function evaluateRunsc({ path, version, sandbox, confinement }: RunscFacts): CheckResult {
  if (!path) {
    return failed(ID, TITLE, {
      detail: 'runsc is not in PATH',
      cause: 'it isolates sandboxes; without it none can start',
      fix: 'apt-get install runsc (Debian 13), or https://gvisor.dev/docs/user_guide/install/',
    });
  }
  const detail = `${path}, ${version.replace(/^runsc version /, '')}`;
  if (sandbox.code === 0 && sandbox.stdout.trim() === WORD) {
    const trouble = untestedTrouble(parseRelease(version));
    const runs = `${detail} (tested: ${TESTED_RELEASES.join(', ')}), runs a sandbox`;
    return trouble ? warning(ID, TITLE, { detail: runs, ...trouble }) : ok(ID, TITLE, runs);
  }
  const said = sandbox.stderr.trim().split('\n').at(-1) || `exit status ${sandbox.code}`;
  return failed(ID, TITLE, {
    detail: `${detail}, but a sandbox does not run: ${said}`,
    ...explain(said, confinement),
  });
}

function explain(said: string, confinement: Confinement): Explanation {
  if (/root network namespace/.test(said)) {
    return {
      cause:
        'this runsc takes every network namespace of this kernel for the host’s own, and hiding /proc/sys did not help',
      fix: 'install a newer runsc: https://gvisor.dev/docs/user_guide/install/',
    };
  }
  if (!hasCapability(confinement.effective, 'CAP_SYS_ADMIN')) {
    return explainDenial(confinement, 'CAP_SYS_ADMIN');
  }
  if (/ptrace|seccomp|operation not permitted/i.test(said)) {
    return {
      cause: 'the kernel or a container’s seccomp filter denies what gVisor needs (ptrace, seccomp, clone)',
      fix: 'outside of a container nothing is to do; in one: docker run --privileged …',
    };
  }
  return {
    cause: 'runsc itself fails on this machine',
    fix: 'see its own reason above; a newer release often helps: https://gvisor.dev/docs/user_guide/install/',
  };
}
