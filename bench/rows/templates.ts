import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type LogEntry, Sandbox, Template, type TemplateClass } from 'e2b';
import { pushImage } from '../../packages/template-manager/test/image.ts';
import { startRegistry } from '../../packages/template-manager/test/registry.ts';
import { sdkOptions } from '../islet/sdk.ts';
import { inRounds } from '../pace/rounds.ts';
import { timed } from '../pace/timed.ts';
import type { Measurement } from '../report/measurement.ts';
import type { Row, RowContext } from './row.ts';

const run = promisify(execFile);

/** Incompressible, as most of an image is once it is compressed. */
const IMAGE_FILES = 100;
const FILE_BYTES = 2 * 1024 * 1024;

async function builds(context: RowContext): Promise<Measurement[]> {
  const options = sdkOptions(context.access);
  const samples = { cold: [] as number[], cached: [] as number[], first: [] as number[] };
  const full = context.size === 'full';
  await inRounds({ rounds: full ? 5 : 1, budgetMs: full ? 180_000 : 60_000 }, context, async () => {
    const mark = randomUUID();
    const template = Template()
      .fromBaseImage()
      .runCmd(`echo ${mark} > ~/one`)
      .runCmd('cat ~/one > ~/two')
      .runCmd('cat ~/two > ~/three');
    const name = `bench-${mark}`;
    samples.cold.push(await timed(() => Template.build(template, name, options)));
    samples.cached.push(await timed(() => Template.build(template, name, options)));
    let sandbox: Sandbox | undefined;
    samples.first.push(
      await timed(async () => {
        sandbox = await Sandbox.create(name, options);
      }),
    );
    await sandbox?.kill();
  });
  const row = { row: 'templates', unit: 'ms' } as const;
  return [
    { ...row, what: 'template of three steps, nothing cached', samples: samples.cold, targets: [] },
    {
      ...row,
      what: 'the same again',
      samples: samples.cached,
      targets: [{ kind: 'at-most', of: 'p50', value: 3000 }],
    },
    { ...row, what: "create of a fresh template's first sandbox", samples: samples.first, targets: [] },
  ];
}

/** Pull and unpack by Islet, as its build's log tells it, and by the bare programs, of an image of its own each time. */
async function images(context: RowContext): Promise<Measurement[]> {
  await using registry = await startRegistry({ withPassword: false });
  const pulls: number[] = [];
  const bare: number[] = [];
  const full = context.size === 'full';
  await inRounds({ rounds: full ? 3 : 1, budgetMs: full ? 180_000 : 60_000 }, context, async () => {
    const image = await pushImage(registry, `bench-${randomUUID()}:1`, {
      layers: [
        async (root) => {
          for (let i = 0; i < IMAGE_FILES; i++) await writeFile(join(root, `${i}`), randomBytes(FILE_BYTES));
          return undefined;
        },
      ],
    });
    bare.push(await timed(() => pullBare(image)));
    pulls.push(await pullTime(context, Template().fromImage(image)));
  });
  return [
    {
      row: 'templates',
      what: 'pull and unpack of a 200 MiB image',
      unit: 'ms',
      samples: pulls,
      baseline: { what: 'skopeo and umoci', samples: bare },
      targets: [],
    },
  ];
}

async function pullTime(context: RowContext, template: TemplateClass): Promise<number> {
  const options = sdkOptions(context.access);
  const build = await Template.buildInBackground(template, `bench-${randomUUID()}`, options);
  const entries: LogEntry[] = [];
  for (;;) {
    const status = await Template.getBuildStatus(build, { ...options, logsOffset: entries.length });
    entries.push(...status.logEntries);
    if (status.status === 'error') throw new Error(`the build failed: ${status.reason?.message}`);
    if (status.status === 'ready' && status.logEntries.length === 0) break;
  }
  const at = (text: string) => entries.find(({ message }) => message.includes(text))?.timestamp.getTime();
  const [begun, done] = [at('Building template'), at('[base] Provisioning')];
  if (begun === undefined || done === undefined) throw new Error('the log does not tell the pull');
  return done - begun;
}

async function pullBare(image: string): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'islet-bench-pull-'));
  try {
    const layout = join(dir, 'layout');
    await run('skopeo', [
      'copy',
      '--quiet',
      '--src-tls-verify=false',
      `docker://${image}`,
      `oci:${layout}:image`,
    ]);
    await run('umoci', ['raw', 'unpack', '--image', `${layout}:image`, join(dir, 'rootfs')]);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

export const templatesRow: Row = {
  name: 'templates',
  description: 'builds of templates, cold and cached; pulls of images against bare skopeo and umoci',
  async measure(context) {
    return [...(await builds(context)), ...(await images(context))];
  },
};
