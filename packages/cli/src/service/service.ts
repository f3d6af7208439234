import { readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { InstanceStatus } from '../control/socket.ts';
import { searchPath } from '../host/search-path.ts';
import { OPTIONS } from '../options/options.ts';
import { requireOption } from '../options/spec.ts';
import { readUpConfig } from '../up/config.ts';
import {
  configTemplate,
  readConfigFile,
  readVariables,
  type ServiceVariables,
  withVariables,
  writeConfigFile,
} from './config-file.ts';
import type { Systemd, UnitState } from './systemd.ts';
import { CONFIG_FILE, programOf, serviceUnit, UNIT } from './unit.ts';

/** Where Debian's package puts its unit. */
const PACKAGED_UNIT = `/usr/lib/systemd/system/${UNIT}`;
/** Where an administrator's units are. */
const OWN_UNIT = `/etc/systemd/system/${UNIT}`;

/** A service cannot be installed or removed; the message says what to do. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';
}

/** The files of the service. */
export interface ServicePlan {
  /** Undefined if the Debian package has brought it. */
  unit: { path: string; text: string } | undefined;
  config: { path: string; text: string };
  program: string;
}

export interface PlanOptions {
  /** The launcher of this Islet. */
  program: string;
  /** The node that runs it. */
  node: string;
  /** Options of the service, by variable. */
  variables: ServiceVariables;
  /** Folder that stands for `/`. */
  root?: string;
}

/**
 * What an installation would write.
 * @throws ServiceError if another Islet of this machine has the service, or this one may be gone tomorrow.
 * @throws OptionError naming the option that is wrong.
 */
export async function planService({
  program,
  node,
  variables,
  root = '/',
}: PlanOptions): Promise<ServicePlan> {
  const configPath = join(root, CONFIG_FILE);
  const text = withVariables((await readConfigFile(configPath)) ?? configTemplate(), variables);
  readUpConfig({ flags: {}, env: readVariables(text) });
  const config = { path: configPath, text };
  for (const path of [PACKAGED_UNIT, OWN_UNIT]) {
    const present = await readFile(join(root, path), 'utf8').catch(() => undefined);
    const other = present === undefined ? program : (programOf(present) ?? `a unit of its own (${path})`);
    if (other !== program) {
      throw new ServiceError(
        `${UNIT} starts another Islet, ${other}: remove that service first, with islet service uninstall or the package it came with`,
      );
    }
    if (present !== undefined && path === PACKAGED_UNIT) return { unit: undefined, config, program };
  }
  if (program.includes('/_npx/')) {
    throw new ServiceError(
      `${program} lies in a cache that npm may clear at any time: install Islet with npm install --global first`,
    );
  }
  const path = searchPath(dirname(node));
  const unit = serviceUnit({ program, path, configFile: CONFIG_FILE });
  return { unit: { path: join(root, OWN_UNIT), text: unit }, config, program };
}

/** Writes the files and starts the service, again if it runs. */
export async function installService(plan: ServicePlan, systemd: Systemd): Promise<void> {
  await writeConfigFile(plan.config.path, plan.config.text);
  if (plan.unit) await writeFile(plan.unit.path, plan.unit.text);
  await systemd.enable();
}

/** What became of a service that is removed. */
export interface Removed {
  /** False if there was none. */
  wasInstalled: boolean;
  /** The unit that the Debian package keeps. */
  keptUnit: string | undefined;
}

/** Stops the service with its sandboxes and has it start no more. The configuration and the data stay. */
export async function uninstallService(systemd: Systemd): Promise<Removed> {
  const { file } = await systemd.state();
  if (!file) return { wasInstalled: false, keptUnit: undefined };
  await systemd.disable();
  if (file !== OWN_UNIT) return { wasInstalled: true, keptUnit: file };
  await rm(file, { force: true });
  await systemd.reload();
  return { wasInstalled: true, keptUnit: undefined };
}

/** What a service does. */
export interface ServiceStatus {
  installed: boolean;
  /** The unit's file. */
  unit: string | null;
  startsAtBoot: boolean;
  /** systemd's words: active (running), activating (auto-restart), failed (failed) and others. */
  state: string;
  pid: number | null;
  /** Restarts after crashes. */
  restarts: number;
  configFile: string;
  dataDir: string;
  /** What Islet says of itself; null if it does not serve yet, or any more. */
  serving: InstanceStatus | null;
}

/** @param statusOf asks the Islet that runs with a data directory */
export async function serviceStatus(
  systemd: Systemd,
  statusOf: (dataDir: string) => Promise<InstanceStatus | undefined>,
): Promise<ServiceStatus> {
  const unit = await systemd.state();
  const env = readVariables((await readConfigFile(CONFIG_FILE)) ?? '');
  const dataDir = requireOption(OPTIONS.dataDir, { flags: {}, env });
  const serving = await statusOf(dataDir);
  return {
    installed: unit.file !== undefined,
    unit: unit.file ?? null,
    startsAtBoot: unit.startsAtBoot,
    state: `${unit.active} (${unit.sub})`,
    pid: unit.pid || null,
    restarts: unit.restarts,
    configFile: CONFIG_FILE,
    dataDir,
    serving: serving !== undefined && serving.pid === unit.pid ? serving : null,
  };
}

/** How often a service that starts is asked, ms. */
const ASK_EVERY_MS = 500;

/**
 * Waits until the service serves.
 * @throws ServiceError with the end of its journal if it fails.
 */
export async function waitForService(
  systemd: Systemd,
  status: () => Promise<ServiceStatus>,
  signal: AbortSignal,
): Promise<ServiceStatus> {
  const { restarts } = await systemd.state();
  for (;;) {
    const now = await status();
    if (now.serving) return now;
    if (hasFailed(await systemd.state(), restarts)) {
      throw new ServiceError(
        `the service does not start (${now.state}); its last words:\n${await systemd.journal(20)}`,
      );
    }
    await sleep(ASK_EVERY_MS, undefined, { signal });
  }
}

function hasFailed(unit: UnitState, restartsBefore: number): boolean {
  return unit.active === 'failed' || unit.active === 'inactive' || unit.restarts > restartsBefore;
}
