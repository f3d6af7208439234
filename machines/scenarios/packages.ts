import { agent, installSdk, RunningIslet } from '../guest/islet.ts';
import { expectNothingLeft, residue } from '../guest/residue.ts';
import { Service } from '../guest/service.ts';
import { makePackage } from '../packages.ts';
import { firstSandbox } from './readme.ts';
import type { Context } from './scenario.ts';

const INSTALL_MS = 60 * 60_000;
const LOOK_MS = 20 * 60_000;

/** apt-get install, a sandbox, a crash, a reboot, remove, purge. */
export async function debianPackage(context: Context): Promise<void> {
  const { machine, step, signal, note } = context;
  const { name, bytes } = await step('npm run package', () => makePackage('debian', signal));
  await machine.write(`/srv/${name}`, bytes);
  await machine.root.run(`chmod 644 /srv/${name}`, { signal, timeoutMs: LOOK_MS });
  const before = await residue(machine, signal);
  const said = await step('apt-get install', () =>
    machine.user.run(`sudo apt-get update -q && sudo apt-get install -q -y /srv/${name}`, {
      signal,
      timeoutMs: INSTALL_MS,
    }),
  );
  for (const line of said.split('\n').filter((each) => each.startsWith('islet:'))) note(line);
  const service = new Service(machine, 'islet', signal);
  await step('the service serves', () => service.serves());
  await useAndCrash(context, service);
  await step('apt-get remove leaves no sandbox, and the data', async () => {
    await machine.user.run('sudo apt-get remove -q -y islet', { signal, timeoutMs: INSTALL_MS });
    await machine.user.run('sudo test -d /var/lib/islet/db && test -f /etc/islet/islet.conf', {
      signal,
      timeoutMs: LOOK_MS,
    });
    expectNothingLeft(before, await residue(machine, signal));
  });
  await step('apt-get purge leaves nothing', async () => {
    await machine.user.run('sudo apt-get purge -q -y islet', { signal, timeoutMs: INSTALL_MS });
    const left = 'ls -d /var/lib/islet /var/cache/islet /etc/islet /usr/lib/islet 2>/dev/null || true';
    const found = await machine.user.run(left, { signal, timeoutMs: LOOK_MS });
    if (found !== '') throw new Error(`the purge left:\n${found}`);
  });
}

/** npm install --global, islet up, then the service of it. */
export async function npmPackage(context: Context): Promise<void> {
  const { machine, step, signal } = context;
  const { name, bytes } = await step('npm run package', () => makePackage('npm', signal));
  await machine.write(`/srv/${name}`, bytes);
  await machine.root.run(`chmod 644 /srv/${name}`, { signal, timeoutMs: LOOK_MS });
  await step('npm install --global', () =>
    machine.user.run(`sudo npm install --global /srv/${name}`, { signal, timeoutMs: INSTALL_MS }),
  );
  const before = await residue(machine, signal);
  {
    await using islet = await step('islet up', () =>
      RunningIslet.start(machine.user, 'islet up', { signal, isFirst: true }),
    );
    await step('the curl command: 201', () => firstSandbox(machine, signal));
    await step('Ctrl-C leaves nothing', async () => {
      await islet.stop();
      expectNothingLeft(before, await residue(machine, signal));
    });
  }
  await serviceOf(context, new Service(machine, 'islet', signal), before);
}

/** The service of a checkout. */
export async function checkoutService(context: Context): Promise<void> {
  const { machine, signal } = context;
  const before = await residue(machine, signal);
  await serviceOf(context, new Service(machine, 'cd islet && ./islet', signal), before);
}

async function serviceOf(context: Context, service: Service, before: readonly string[]): Promise<void> {
  const { machine, step, signal } = context;
  await step('islet service install', () => service.run('install'));
  await useAndCrash(context, service);
  await step('islet service uninstall leaves nothing', async () => {
    await service.run('uninstall');
    expectNothingLeft(before, await residue(machine, signal));
  });
}

/**
 * A sandbox of a service outlives a crash of it; a paused one a reboot of the machine, with which the service starts.
 */
async function useAndCrash({ machine, step, signal }: Context, service: Service): Promise<void> {
  const { pid, ...first } = await service.serves();
  await step('the curl command: 201', () => firstSandbox(machine, signal));
  await step('npm i e2b', () => installSdk(machine, signal));
  await step('a command in a sandbox that outlived a crash of Islet', async () => {
    const { sandboxId } = await agent(machine, first, ['create'], signal);
    await service.crash();
    const { restarts, exports } = await service.serves(pid);
    if (restarts < 1) throw new Error('systemd counts no restart');
    await agent(machine, { exports }, ['command', sandboxId as string], signal);
  });
  const { sandboxId } = await step('a sandbox is paused', () => agent(machine, first, ['leave'], signal));
  await step('the machine is rebooted', () => machine.reboot());
  await step('the service has started with the machine, and finds the paused sandbox', async () => {
    const { exports, startsAtBoot } = await service.serves();
    if (!startsAtBoot) throw new Error('the service says that it does not start with the machine');
    await agent(machine, { exports }, ['find', sandboxId as string], signal);
  });
}
