/** The capabilities of Linux, capabilities(7), by their number. */
export const CAPABILITIES = [
  ...['chown', 'dac_override', 'dac_read_search', 'fowner', 'fsetid', 'kill', 'setgid', 'setuid', 'setpcap'],
  ...[
    'linux_immutable',
    'net_bind_service',
    'net_broadcast',
    'net_admin',
    'net_raw',
    'ipc_lock',
    'ipc_owner',
  ],
  ...[
    'sys_module',
    'sys_rawio',
    'sys_chroot',
    'sys_ptrace',
    'sys_pacct',
    'sys_admin',
    'sys_boot',
    'sys_nice',
  ],
  ...[
    'sys_resource',
    'sys_time',
    'sys_tty_config',
    'mknod',
    'lease',
    'audit_write',
    'audit_control',
    'setfcap',
  ],
  ...['mac_override', 'mac_admin', 'syslog', 'wake_alarm', 'block_suspend', 'audit_read', 'perfmon', 'bpf'],
  'checkpoint_restore',
] as const;
export type CapabilityName = (typeof CAPABILITIES)[number];

/** What a command that serves keeps of root's rights, and what for. */
export type Rights = Partial<Record<CapabilityName, string>>;

const NODE: Rights = {
  chown: 'files of root file systems, and of programs that are users of their own',
  dac_override: 'files of any owner in root file systems',
  dac_read_search: 'given to the egress gateway, until it has read its own files',
  fowner: 'modes and times of files of any owner',
  fsetid: 'modes of set-user-ID programs in root file systems',
  kill: 'ends the programs that are users of their own',
  setgid: 'makes programs users of their own',
  setuid: 'makes programs users of their own',
  setpcap: 'takes rights from what it starts',
  net_bind_service: 'ports below 1024, and those of a pull inside its namespace',
  net_admin: 'namespaces, interfaces, routes and firewall of sandboxes',
  net_raw: 'packets of sandboxes',
  sys_chroot: 'mmdebstrap, and the views of confined programs',
  sys_ptrace: 'looks into the memory of virtual machines, and at processes that are other users',
  sys_admin: 'namespaces and mounts',
  sys_nice: 'has what answers clients run first',
  mknod: 'device files of root file systems',
  audit_write: 'accounts that packages make in root file systems',
  setfcap: 'capabilities of programs in root file systems',
};

const FILES_AND_PORTS: Rights = {
  chown: 'files that other users may read',
  dac_override: 'files that the operator names, whoever owns them',
  fowner: 'modes of such files',
  net_bind_service: 'ports below 1024',
  sys_nice: 'has what answers clients run first',
};

/**
 * By command. The launcher takes all others away before Islet starts, for good; a unit of systemd does the same. It has the same lists, as
 * it needs them before Node runs.
 */
export const RIGHTS = {
  up: NODE,
  node: NODE,
  api: FILES_AND_PORTS,
  edge: FILES_AND_PORTS,
} as const satisfies Record<string, Rights>;

/** @param set bits, as /proc/<pid>/status has them */
export function capabilitiesIn(set: bigint): CapabilityName[] {
  return CAPABILITIES.filter((_, bit) => ((set >> BigInt(bit)) & 1n) === 1n);
}

/** What a process holds that no command of Islet needs. */
export function needlessIn(set: bigint): CapabilityName[] {
  return capabilitiesIn(set).filter((name) => !(name in RIGHTS.up));
}
