import { RIGHTS } from '../host/rights.ts';

/** The unit's name, whoever installs it. */
export const UNIT = 'islet.service';

/** What the service reads its options from, as variables. */
export const CONFIG_FILE = '/etc/islet/islet.conf';

/** What a unit says of the machine it is for. */
export interface UnitFacts {
  /** The launcher, an absolute path. */
  program: string;
  /** PATH of the service, if node is not where systemd looks. */
  path?: string;
  configFile: string;
}

/**
 * The text of a systemd unit that starts Islet with the machine.
 * @throws RangeError for a path that no unit can hold.
 */
export function serviceUnit({ program, path, configFile }: UnitFacts): string {
  return `[Unit]
Description=Islet, a self-hosted sandbox cloud for AI agents
Wants=network-online.target
After=network-online.target nss-lookup.target
# It is started again for as long as it fails, at growing intervals.
StartLimitIntervalSec=0

[Service]
Type=exec
EnvironmentFile=-${pathValue(configFile)}
# Packages are installed by whoever installs the service, not behind the back of the administrator.
Environment=ISLET_NO_INSTALL=1
${path === undefined ? '' : `Environment=${quoted(`PATH=${path}`)}\n`}ExecStart=${programWord(program)} up
Restart=on-failure
RestartSec=1
RestartSteps=6
RestartMaxDelaySec=60
# Sandboxes outlive a crash of Islet, which adopts them when it starts again: only its own process is stopped with it.
# At an orderly stop it ends all of them itself. For the same reason nothing here may give it mounts of its own
# (PrivateTmp, ProtectSystem and the like): what it has mounted for sandboxes would be gone with the process.
KillMode=process
TimeoutStopSec=180
Delegate=yes
# The kernel ends one sandbox that takes too much memory, not the service.
OOMPolicy=continue
TasksMax=infinity
# Of the processors; sandboxes are in cgroups beside the service's. What answers clients must not wait for who computes.
CPUWeight=900
LimitCORE=0
# What it keeps of root's rights (docs/security.md): neither it nor anything that it starts gets others. A filter of system calls would lie
# upon those of all sandboxes, which have their own, and slow them down.
CapabilityBoundingSet=${boundingSet()}
AmbientCapabilities=
NoNewPrivileges=yes
KeyringMode=private

[Install]
WantedBy=multi-user.target
`;
}

function boundingSet(): string {
  return Object.keys(RIGHTS.up)
    .map((name) => `CAP_${name.toUpperCase()}`)
    .join(' ');
}

/** The program of a command. systemd refuses these characters, quoted or not. */
function programWord(path: string): string {
  if (/["'\\]/.test(path)) {
    throw new RangeError(`systemd starts no program with a quote or backslash in its path: ${path}`);
  }
  return quoted(path);
}

/** One word of an assignment. */
function quoted(text: string): string {
  return `"${printable(text).replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%')}"`;
}

/** A path that is the whole of a value. */
function pathValue(text: string): string {
  return printable(text).replaceAll('%', '%%');
}

function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a unit cannot hold
  if (/[\u0000-\u001f\u007f]/.test(text)) {
    throw new RangeError(`a systemd unit cannot hold this: ${JSON.stringify(text)}`);
  }
  return text;
}

/** The launcher that a unit starts, if the unit is one of these. */
export function programOf(unit: string): string | undefined {
  return /^ExecStart="([^"]*)" up$/m.exec(unit)?.[1]?.replaceAll('%%', '%');
}
