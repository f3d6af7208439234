import type { Recipe } from '../recipe/recipe.ts';
import type { DebianMirror } from './sources.ts';

export interface RootfsPlanInput {
  recipe: Recipe;
  mirror: DebianMirror;
  /** apt settings of the host that decide how it reaches the mirror, such as a proxy: `Acquire::… "value";` lines. */
  aptOptions: string[];
  /** Debian's archive keys, where they are not in apt's default place. */
  keyring: string | undefined;
  /** Content of `/.e2b` in the root file system. */
  identity: string;
  target: string;
}

/**
 * The command that makes a root file system. It runs in mount and pid namespaces of its own: whatever happens to it, no
 * mount and no process outlives it on the host. `setpriv` ties it to this process's life, should that be killed.
 */
export function planRootfs(input: RootfsPlanInput): string[] {
  const { recipe, mirror } = input;
  const components = recipe.components.join(' ');
  return [
    ...['setpriv', '--pdeathsig', 'KILL'],
    ...['unshare', '--mount', '--pid', '--fork', '--kill-child=KILL', '--mount-proc'],
    ...['mmdebstrap', '--mode=root', '--variant=apt', '--format=directory', '--verbose'],
    ...(input.keyring ? [`--keyring=${input.keyring}`] : []),
    `--include=${recipe.packages.join(',')}`,
    ...recipe.excludedPaths.map((path) => `--dpkgopt=path-exclude=${path}`),
    ...recipe.includedPaths.map((path) => `--dpkgopt=path-include=${path}`),
    // A crash in the middle throws the tree away, so dpkg need not sync each file.
    '--dpkgopt=force-unsafe-io',
    ...input.aptOptions.map((option) => `--aptopt=${option}`),
    `--customize-hook=${copyFilesHook(`${recipe.dir}/files`)}`,
    `--customize-hook=${setupHook(`${recipe.dir}/setup.sh`)}`,
    `--customize-hook=printf %s ${quote(input.identity)} > "$1/.e2b"`,
    recipe.suite,
    input.target,
    `deb ${mirror.main} ${recipe.suite} ${components}`,
    `deb ${mirror.main} ${recipe.suite}-updates ${components}`,
    `deb ${mirror.security} ${recipe.suite}-security ${components}`,
  ];
}

/** Owner and modes are set here, since a checkout's depend on who made it and their umask. */
function copyFilesHook(source: string): string {
  const pack = `tar -C ${quote(source)} --owner=0 --group=0 --mode=u=rwX,go=rX -cf - .`;
  return `${pack} | tar -C "$1" --no-overwrite-dir -xf -`;
}

function setupHook(script: string): string {
  const inside = '/run/islet-setup.sh';
  return `cp ${quote(script)} "$1${inside}" && chroot "$1" /bin/sh ${inside} && rm "$1${inside}"`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The `/.e2b` file, by which programs in a sandbox learn what it was made from. */
export function identityFile(templateId: string, buildId: string): string {
  return `ENV_ID=${templateId}\nTEMPLATE_ID=${templateId}\nBUILD_ID=${buildId}\n`;
}

const KEPT_APT_OPTION =
  /^Acquire::(?:https?::(?!Dl-Limit)[\w.:-]*|Check-Valid-Until|Check-Date|Retries|ForceIPv[46]) "[^"]*";$/;

/** Of `apt-config dump`, what decides how the host reaches a mirror and whether it believes it. */
export function keptAptOptions(dump: string): string[] {
  return dump
    .split('\n')
    .filter((line) => KEPT_APT_OPTION.test(line) && !line.endsWith(' "";'))
    .map((line) => line.slice(0, -1));
}
