import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TemplateRuntime } from '@islet/orchestrator';
import type { Logger } from '@islet/telemetry';
import type { BuildOutcome, BuildSpec } from '../builds/build-spec.ts';
import { SHIPPED_NOTE } from '../cache.ts';
import { DEBIAN_REVISION, Debian } from '../debian/debian.ts';
import { PROVISION_REVISION } from '../engine/base.ts';
import { cacheKey } from '../engine/cache-key.ts';
import { runBuild } from '../engine/engine.ts';
import { readProvisionFiles } from '../engine/provision-files.ts';
import type { Report } from '../engine/reporter.ts';
import { machineDisk } from '../layers/disk.ts';
import { InUse } from '../layers/in-use.ts';
import { createLayerStore, type LockFile } from '../layers/layer-store.ts';
import type { StepRequest } from '../steps/step.ts';
import { shippedBuildId } from './build-id.ts';

export interface ShippedTemplatesOptions {
  /** One folder a template, as the build lays them out: `template.json`, and the archives of its COPY steps by their hash. */
  templatesDir: string;
  /** Layers and root file systems, which all Islets of the machine share. */
  cacheDir: string;
  /** The operator's Debian mirror, if one is set. */
  debianMirror: string | undefined;
  runtime: TemplateRuntime;
  lock: LockFile;
  logger: Logger;
}

/** A template that comes with Islet. */
export interface ShippedTemplate {
  /** Of `templates/`, and what `islet template build` takes. */
  folder: string;
  /** What sandboxes are created by. */
  name: string;
  /** For people. */
  title: string;
}

/** Templates that come with Islet: written with the SDK's `Template`, and built as everybody's. */
export interface ShippedTemplates {
  /** All that there are, `base` among them. */
  list(): Promise<ShippedTemplate[]>;
  /** The build of a template that this machine wants, whether it is there or not. */
  spec(folder: string): Promise<BuildSpec>;
  /**
   * Makes a build of the template, or what of it is missing.
   * @throws BuildError if it cannot be built, the signal's reason if it was aborted.
   */
  build(folder: string, spec: BuildSpec, report: Report, signal: AbortSignal): Promise<BuildOutcome>;
}

/** What the build of Islet writes of a template: what the SDK would send, and the size that sandboxes get. */
interface TemplateFile {
  cpuCount: number;
  memoryMB: number;
  minFreeDiskMb: number;
  template: {
    fromImage: string;
    steps: (Omit<StepRequest, 'force'> & { force?: boolean })[];
    startCmd?: string;
    readyCmd?: string;
  };
}

/** The same everywhere, so that instances that share a cache share the root file systems too. */
export function shippedTemplateId(folder: string): string {
  return `islet0${folder.replaceAll('-', '')}0template0`;
}

/** Whose layers these are: no team's. */
const OWNER = 'islet';

/** All templates that come with Islet, `base` among them. @param templatesDir as the build lays it out */
export async function listShipped(templatesDir: string): Promise<ShippedTemplate[]> {
  return Promise.all(
    (await readdir(templatesDir)).sort().map(async (folder) => {
      const about = JSON.parse(await readFile(join(templatesDir, folder, 'about.json'), 'utf8'));
      return { folder, ...(about as Omit<ShippedTemplate, 'folder'>) };
    }),
  );
}

export function createShippedTemplates(options: ShippedTemplatesOptions): ShippedTemplates {
  const { templatesDir, cacheDir, debianMirror, runtime, lock, logger } = options;
  const layers = createLayerStore(join(cacheDir, 'layers'), lock, machineDisk);
  const arch = process.arch;
  const read = (folder: string) => readFile(join(templatesDir, folder, 'template.json'), 'utf8');
  const buildIdOf = (text: string) =>
    shippedBuildId(cacheKey('shipped', DEBIAN_REVISION, PROVISION_REVISION, arch, text));

  return {
    list: () => listShipped(templatesDir),
    async spec(folder) {
      const text = await read(folder);
      const { template, cpuCount, memoryMB, minFreeDiskMb } = JSON.parse(text) as TemplateFile;
      return {
        templateId: shippedTemplateId(folder),
        buildId: buildIdOf(text),
        teamId: OWNER,
        cpuCount,
        memoryMb: memoryMB,
        freeDiskMb: minFreeDiskMb,
        diskLimitMb: undefined,
        source: { kind: 'image', image: { reference: template.fromImage, credentials: undefined } },
        steps: template.steps.map((step) => ({ ...step, force: step.force ?? false })),
        startCommand: template.startCmd,
        readyCommand: template.readyCmd,
        force: false,
        legacyUser: false,
      };
    },
    async build(folder, spec, report, signal) {
      const engine = {
        runtime,
        layers,
        // Beside the layers: an Islet with another data directory has it from there.
        rootfs: layers,
        rootfsNote: { [SHIPPED_NOTE]: folder },
        inUse: new InUse(),
        files: {
          open: async ({ hash }: { hash: string }) =>
            createReadStream(join(templatesDir, folder, `${hash}.tar`)),
        },
        images: {
          pull: async () => {
            throw new Error('a template that ships with Islet must not need a registry');
          },
        },
        debian: new Debian({ layers, mirror: debianMirror, arch, logger, choosesPackages: true }),
        baseBuildId: async () => buildIdOf(await read('base')),
        outcomeOf: async () => undefined,
        provisionFiles: () => readProvisionFiles(templatesDir),
      };
      return runBuild(engine, spec, report, signal);
    },
  };
}
