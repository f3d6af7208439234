import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { defineCommand } from 'citty';
import { runningStatus } from '../doctor/installation.ts';
import { runHost } from '../doctor/run.ts';
import { optionArgs, optionFlags, refuseUnknownFlags } from '../options/args.ts';
import { givenVariables } from '../service/config-file.ts';
import {
  installService,
  planService,
  ServiceError,
  type ServicePlan,
  type ServiceStatus,
  serviceStatus,
  uninstallService,
  waitForService,
} from '../service/service.ts';
import { openSystemd } from '../service/systemd.ts';
import { UP_OPTIONS } from '../up/config.ts';
import type { CommandIo } from './io.ts';

const JSON_ARG = { type: 'boolean', description: 'Print JSON' } as const;

/** Exit status of `status` for a service that does not run, as systemctl has it. */
const NOT_RUNNING = 3;

/** `islet service …`. */
export function serviceCommand(io: CommandIo) {
  const installArgs = {
    json: JSON_ARG,
    print: { type: 'boolean', description: 'Only print the files that would be written' },
    wait: { type: 'boolean', default: true, negativeDescription: 'Do not wait until Islet serves' },
    ...optionArgs(UP_OPTIONS),
  } as const;
  const install = defineCommand({
    meta: {
      name: 'install',
      description: 'Start Islet with the machine, after a crash, and now, with the options given here',
    },
    args: installArgs,
    async run(context) {
      // The launcher has acted on the last one by the time this runs.
      refuseUnknownFlags(context.rawArgs, { ...installArgs, 'no-install': { type: 'boolean' } });
      const { args } = context;
      const plan = await planService({
        program: launcherOf(io),
        node: process.execPath,
        variables: givenVariables(UP_OPTIONS, optionFlags(UP_OPTIONS, context), io.env),
      });
      if (args.print) return io.print(args.json ? JSON.stringify(plan) : renderPlan(plan));
      const systemd = openSystemd(runHost);
      await installService(plan, systemd);
      const status = () => serviceStatus(systemd, runningStatus);
      if (!args.wait) return io.print(args.json ? JSON.stringify(await status()) : STARTED);
      if (!args.json) io.print(WAITING);
      const reached = await waitForService(systemd, status, io.interrupted);
      io.print(args.json ? JSON.stringify(reached) : renderStatus(reached));
    },
  });

  const statusArgs = { json: JSON_ARG } as const;
  const status = defineCommand({
    meta: {
      name: 'status',
      description: `Say whether the service is installed and serves; exit ${NOT_RUNNING} if it does not`,
    },
    args: statusArgs,
    async run({ args, rawArgs }) {
      refuseUnknownFlags(rawArgs, statusArgs);
      const found = await serviceStatus(openSystemd(runHost), runningStatus);
      io.print(args.json ? JSON.stringify(found) : renderStatus(found));
      if (!found.serving) io.setExitCode(NOT_RUNNING);
    },
  });

  const uninstall = defineCommand({
    meta: {
      name: 'uninstall',
      description: 'Stop the service with its sandboxes and remove it; data and configuration stay',
    },
    args: statusArgs,
    async run({ args, rawArgs }) {
      refuseUnknownFlags(rawArgs, statusArgs);
      const removed = await uninstallService(openSystemd(runHost));
      if (args.json) return io.print(JSON.stringify(removed));
      if (!removed.wasInstalled) return io.print('There is no service.');
      io.print('The service is stopped and starts no more. Its data and configuration are still there.');
      if (removed.keptUnit) {
        io.print(`${removed.keptUnit} belongs to the Debian package; apt-get remove islet removes it.`);
      }
    },
  });

  return defineCommand({
    meta: { name: 'service', description: 'Run Islet as a service of systemd' },
    subCommands: { install, status, uninstall },
  });
}

const STARTED = 'The service starts. See how far it is with: islet service status';
const WAITING =
  'Waiting for Islet to serve; a first start builds the base template, which takes minutes (journalctl -fu islet shows it) …';

/** @throws ServiceError if this Islet was not started by a launcher, as in a test. */
function launcherOf(io: CommandIo): string {
  const program = join(dirname(dirname(io.layout().guestDir)), 'islet');
  if (!existsSync(program)) throw new ServiceError(`${program} is not there: a service is started by it`);
  return program;
}

function renderPlan({ unit, config }: ServicePlan): string {
  return [unit, config].flatMap((file) => (file ? [`# ${file.path}\n${file.text}`] : [])).join('\n');
}

function renderStatus(status: ServiceStatus): string {
  if (!status.installed) return 'The service is not installed: islet service install';
  const { serving } = status;
  const lines = [
    serving ? `Islet ${serving.version} serves at ${serving.apiUrl}` : 'Islet does not serve now',
    `  state    ${status.state}${status.pid ? `, process ${status.pid}` : ''}, restarted ${status.restarts} times`,
    `  at boot  ${status.startsAtBoot ? 'starts' : 'does not start'}`,
    `  unit     ${status.unit}`,
    `  options  ${status.configFile}`,
    `  data     ${status.dataDir}`,
    '  log      journalctl -u islet',
  ];
  return lines.join('\n');
}
