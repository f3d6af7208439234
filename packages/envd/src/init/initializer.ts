import { realpathSync } from 'node:fs';
import { accessTokenReplaced, notApplied, notRebooted, secretsEqual } from '@islet/contracts';
import type { Logger } from '../log/logger.ts';
import type { Machine } from '../native/machine.ts';
import type { Mounts } from '../native/mounts.ts';
import type { Settings } from '../settings.ts';
import type { LivedTimers } from '../standstill/lived-timers.ts';
import type { ServedVolumes } from '../volumes/served-volumes.ts';
import { BOOT_ID, bootIdOf } from './boot-id.ts';
import { trustCertificates } from './certificates.ts';
import type { Clock } from './clock.ts';
import { hostsWith, type IdentityFiles, resolvConf } from './identity.ts';
import type { InitRequest, VolumeMount } from './request.ts';

const RUN_DIRECTORY = '/run/e2b';

/** Where the machine sees its volumes, each in a directory named for its id. */
export const VOLUMES_DIRECTORY = '/opt/islet/volumes';

/** Changes with each start from a snapshot, whichever: see docs/clones.md. */
const GENERATION = '/run/islet/generation';

export interface InitializerDeps {
  settings: Settings;
  files: IdentityFiles;
  logger: Logger;
  clock: Pick<Clock, 'keep'>;
  timers: Pick<LivedTimers, 'stoodStill'>;
  /** Absent if envd is not the init process: then the machine is not its own to change. */
  machine: Pick<Machine, 'setHostname' | 'reseedKernel'> | undefined;
  mounts: Pick<Mounts, 'bind'> | undefined;
  /** Mounts what the machine is served over the network. */
  servedVolumes: Pick<ServedVolumes, 'mount'> | undefined;
  /** True while envd is the machine's only program. */
  isAlone: () => boolean;
  /** Ends every other process. Absent if envd is not the init process. */
  endAllProcesses: (() => Promise<void>) | undefined;
  random: Pick<Machine, 'randomBytes' | 'reseedOpenssl'>;
  /** Called after a request was applied, with whether the sandbox is another one than before. */
  onApplied: (change: { newSandbox: boolean }) => void;
}

/** Takes over what the control plane says about this sandbox, after each boot, resume and fork. */
export class Initializer {
  readonly #deps: InitializerDeps;
  #lastTimestampNs: bigint | undefined;
  #sandboxId: string | undefined;
  /** Named by the last request. While requests name the same, the machine was not restored again: it has no siblings. */
  #startId: string | undefined;
  /** Whether the file that says "this is a sandbox" is there; memory and files are restored together. */
  #marked = false;
  #hostname: string | undefined;
  #eventsAddress: string | undefined;
  #certificates: string | undefined;
  /** What is mounted, by path. */
  readonly #volumes = new Map<string, string>();

  constructor(deps: InitializerDeps) {
    this.#deps = deps;
  }

  /**
   * Applies a request. One that is not newer than the last is only authenticated. What it gives back is left to do, and is to
   * be done in the turn of the event loop in which the request is answered, behind the answer.
   * @throws IsletError 401, 400; 503 if a reboot is asked for and processes stay.
   */
  async apply(request: InitRequest, headerToken: string | undefined): Promise<() => void> {
    if (!this.#admits(request, headerToken)) return nothing;
    if (request.reboot) {
      await this.#reboot();
      if (!this.#admits(request, headerToken)) return nothing;
    }
    // The answer tells the time that the machine has.
    if (request.stoodStill) this.#deps.timers.stoodStill(request.stoodStill);
    if (request.timestampNs !== undefined) this.#deps.clock.keep(Number(request.timestampNs) / 1e6);
    // Who wants to know who the machine is asks envd then, which hears it after this turn. The host goes on meanwhile.
    if (this.#deps.isAlone() && request.volumes.length === 0) return () => this.#applyAnyway(request);
    try {
      this.#tellMachine(request);
    } catch (error) {
      throw notApplied(error as Error);
    }
    this.#takeOver(request);
    return nothing;
  }

  /** The directories below which the files of volumes are; none if there are no volumes. */
  volumeDirectories(): string[] {
    if (this.#volumes.size === 0) return [];
    return [VOLUMES_DIRECTORY, ...[...this.#volumes.keys()].map((path) => realpathSync(path))];
  }

  /** Whether a request is to be applied. @throws IsletError 401 */
  #admits(request: InitRequest, headerToken: string | undefined): boolean {
    this.#authenticate(request, headerToken);
    return this.#isNewer(request.timestampNs);
  }

  /** Whatever the machine could not be told, envd itself knows whose it is. */
  #applyAnyway(request: InitRequest): void {
    try {
      this.#tellMachine(request);
    } catch (error) {
      this.#deps.logger.log('error', 'the machine does not know all of who it is', { error });
    }
    this.#takeOver(request);
  }

  /** With `#takeOver` in one turn of the event loop, so that two requests never mix. */
  #tellMachine(request: InitRequest): void {
    const newSandbox = this.#isNew(request);
    const sameStart = request.startId !== undefined && request.startId === this.#startId;
    if (!sameStart) this.#beginGeneration();
    // What a machine was given ahead of demand stays with the sandbox that takes it.
    if (newSandbox && !sameStart) this.#becomeAnother();
    if ((newSandbox && !sameStart) || request.reboot) this.#bootAnew();
    this.#writeIdentity(request);
    this.#mountVolumes(request.volumes);
  }

  #takeOver(request: InitRequest): void {
    const { settings } = this.#deps;
    const newSandbox = this.#isNew(request);
    if (request.sandboxId !== undefined) this.#sandboxId = request.sandboxId;
    this.#startId = request.startId;
    if (request.timestampNs !== undefined) this.#lastTimestampNs = request.timestampNs;
    if (request.envVars) settings.userEnv = request.envVars;
    if (request.defaultUser !== undefined) settings.defaultUser = request.defaultUser;
    if (request.defaultWorkdir !== undefined) settings.defaultWorkdir = request.defaultWorkdir;
    settings.accessToken = request.accessToken;
    this.#deps.onApplied({ newSandbox });
  }

  #isNew({ sandboxId }: InitRequest): boolean {
    return sandboxId !== undefined && sandboxId !== this.#sandboxId;
  }

  #authenticate(request: InitRequest, headerToken: string | undefined): void {
    const current = this.#deps.settings.accessToken;
    if (current === undefined) return;
    const matches = (token: string | undefined) => token !== undefined && secretsEqual(token, current);
    if (matches(headerToken) || matches(request.accessToken)) return;
    throw accessTokenReplaced();
  }

  async #reboot(): Promise<void> {
    try {
      await this.#deps.endAllProcesses?.();
    } catch (error) {
      throw notRebooted(error as Error);
    }
  }

  #isNewer(timestampNs: bigint | undefined): boolean {
    if (timestampNs === undefined || this.#lastTimestampNs === undefined) return true;
    return timestampNs > this.#lastTimestampNs;
  }

  /**
   * Whatever starts from a memory snapshot may have siblings: it must not draw the random bytes that they draw, and tells its
   * programs that it is another one.
   */
  #beginGeneration(): void {
    const { machine, random, files, logger } = this.#deps;
    machine?.reseedKernel();
    if (!random.reseedOpenssl())
      logger.log('warn', 'OpenSSL cannot be reseeded; envd draws from the kernel only');
    files.replace(GENERATION, `${random.randomBytes(16).toString('hex')}\n`);
  }

  /** A new sandbox must not be known as the one whose clone it is. */
  #becomeAnother(): void {
    const { random, files } = this.#deps;
    files.write('/etc/machine-id', `${random.randomBytes(16).toString('hex')}\n`);
  }

  #bootAnew(): void {
    const { random, files } = this.#deps;
    files.write(BOOT_ID, bootIdOf(random.randomBytes(16)));
  }

  #writeIdentity(request: InitRequest): void {
    const { files, settings } = this.#deps;
    if (request.sandboxId !== undefined) this.#tellId('E2B_SANDBOX_ID', request.sandboxId);
    if (request.templateId !== undefined) this.#tellId('E2B_TEMPLATE_ID', request.templateId);
    if (!this.#marked) files.write(`${RUN_DIRECTORY}/.E2B_SANDBOX`, 'true');
    this.#marked = true;
    if (request.hyperloopIp !== undefined)
      settings.systemEnv.E2B_EVENTS_ADDRESS = `http://${request.hyperloopIp}`;
    this.#writeHosts(request.hostname, request.hyperloopIp);
    if (request.dns) this.#writeIfDifferent('/etc/resolv.conf', resolvConf(request.dns));
    if (request.caBundle !== undefined && request.caBundle !== this.#certificates) {
      settings.trustEnv = trustCertificates(files, request.caBundle);
      this.#certificates = request.caBundle;
    }
  }

  /** They stay over pauses, being in the memory that is saved. */
  #mountVolumes(volumes: readonly VolumeMount[]): void {
    const { files, mounts, servedVolumes } = this.#deps;
    // One below another comes after it.
    const missing = volumes.filter(({ id, path }) => this.#volumes.get(path) !== id);
    servedVolumes?.mount(missing);
    for (const { id, path } of missing.toSorted((a, b) => a.path.length - b.path.length)) {
      files.makeDirectory(path);
      mounts?.bind(`${VOLUMES_DIRECTORY}/${id}`, path);
      this.#volumes.set(path, id);
    }
  }

  #writeIfDifferent(path: string, contents: string): void {
    const { files } = this.#deps;
    if (files.read(path) !== contents) files.write(path, contents);
  }

  #tellId(name: 'E2B_SANDBOX_ID' | 'E2B_TEMPLATE_ID', id: string): void {
    this.#deps.settings.systemEnv[name] = id;
    this.#deps.files.write(`${RUN_DIRECTORY}/.${name}`, id);
  }

  #writeHosts(hostname = this.#hostname, eventsAddress = this.#eventsAddress): void {
    if (hostname === this.#hostname && eventsAddress === this.#eventsAddress) return;
    const { files, machine } = this.#deps;
    const names = new Map<string, string>();
    if (hostname !== undefined) names.set(hostname, '127.0.1.1');
    if (eventsAddress !== undefined) names.set('events.e2b.local', eventsAddress);
    files.write('/etc/hosts', hostsWith(files.read('/etc/hosts'), names));
    if (hostname !== undefined && hostname !== this.#hostname) {
      files.write('/etc/hostname', `${hostname}\n`);
      machine?.setHostname(hostname);
    }
    this.#hostname = hostname;
    this.#eventsAddress = eventsAddress;
  }
}

function nothing(): void {}
