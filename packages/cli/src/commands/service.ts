import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type CommandGroup, defineCommand } from '../command-line/command.ts';
import { INSTALL_FLAG, JSON_FLAG } from '../command-line/flags.ts';
import { runningStatus } from '../doctor/installation.ts';
import { runHost } from '../doctor/run.ts';
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

/** Exit status of `status` for a service that does not run, as systemctl has it. */
const NOT_RUNNING = 3;

/** `islet service …`. */
export function serviceCommand(io: CommandIo): CommandGroup {
  const install = defineCommand(io, {
    summary: 'Start Islet with the machine, after a crash, and now, with the options given here',
    flags: {
      json: JSON_FLAG,
      print: { kind: 'switch', description: 'Only print the files that would be written' },
      wait: { kind: 'switch', isOn: true, description: 'Do not wait until Islet serves' },
      install: INSTALL_FLAG,
    },
    options: UP_OPTIONS,
    async run({ flags, sources }) {
      const plan = await planService({
        program: launcherOf(io),
        node: process.execPath,
        variables: givenVariables(UP_OPTIONS, sources),
      });
      if (flags.print) return io.print(flags.json ? JSON.stringify(plan) : renderPlan(plan));
      const systemd = openSystemd(runHost);
      await installService(plan, systemd);
      const status = () => serviceStatus(systemd, runningStatus);
      if (!flags.wait) return io.print(flags.json ? JSON.stringify(await status()) : STARTED);
      if (!flags.json) io.print(WAITING);
      const reached = await waitForService(systemd, status, io.interrupted);
      io.print(flags.json ? JSON.stringify(reached) : renderStatus(reached));
    },
  });

  const status = defineCommand(io, {
    summary: `Say whether the service is installed and serves; exit ${NOT_RUNNING} if it does not`,
    flags: { json: JSON_FLAG },
    async run({ flags }) {
      const found = await serviceStatus(openSystemd(runHost), runningStatus);
      io.print(flags.json ? JSON.stringify(found) : renderStatus(found));
      if (!found.serving) io.setExitCode(NOT_RUNNING);
    },
  });

  const uninstall = defineCommand(io, {
    summary: 'Stop the service with its sandboxes and remove it; data and configuration stay',
    flags: { json: JSON_FLAG },
    async run({ flags }) {
      const removed = await uninstallService(openSystemd(runHost));
      if (flags.json) return io.print(JSON.stringify(removed));
      if (!removed.wasInstalled) return io.print('There is no service.');
      io.print('The service is stopped and starts no more. Its data and configuration are still there.');
      if (removed.keptUnit) {
        io.print(`${removed.keptUnit} belongs to the Debian package; apt-get remove islet removes it.`);
      }
    },
  });

  return { summary: 'Run Islet as a service of systemd', commands: { install, status, uninstall } };
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
