/** Whether the tests run on sandboxes that are virtual machines. What only gVisor does, or only Linux, is tested if it is so. */
export const VIRTUAL_MACHINES = process.env.ISLET_ISOLATION === 'microvm';

/** What root runs in a sandbox to end its init process: Linux lets nobody inside a machine kill it, so the machine is turned off. */
export const END_SANDBOX = VIRTUAL_MACHINES ? 'echo o > /proc/sysrq-trigger; sleep 60' : 'kill -9 1';
