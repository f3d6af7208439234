import { createHash } from 'node:crypto';
import { chmod, cp, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { CONFIG_FILE, configTemplate, serviceUnit, UNIT } from '@islet/cli';
import { changesOf, parseChangelog } from './changelog.ts';
import { manifest } from './npm.ts';
import { run } from './run.ts';
import { normalize, ROOT } from './stage.ts';

/** Where the package has what is Islet's. */
const HOME = 'usr/lib/islet';
const DOC = 'usr/share/doc/islet';
const MAINTAINER = 'The Islet contributors <islet@packages.debian.local>';

/** Every Debian has them, and its policy asks not to name them. */
const ESSENTIAL = ['util-linux'];

const SCRIPTS = ['postinst', 'prerm', 'postrm'];

/**
 * Makes the Debian package.
 * @param staged what `stage` has laid out
 * @param work an empty folder
 * @returns the .deb
 * @throws Error if dpkg is not there
 */
export async function makeDebianPackage(
  staged: string,
  work: string,
  outDir: string,
  epoch: number,
): Promise<string> {
  const architecture = await run('dpkg', ['--print-architecture']).catch((cause: unknown) => {
    throw new Error('a Debian package is made with dpkg: run this on Debian or Ubuntu, or with --only npm', {
      cause,
    });
  });
  const { version, description, engines } = await manifest();
  const debianVersion = version.replace('-', '~');
  await layOutFiles(staged, work, epoch);
  const depends = await dependsOf(engines.node ?? '');
  const installedKib = await kibibytesOf(work);
  const fields = {
    Package: 'islet',
    Version: debianVersion,
    Architecture: architecture.trim(),
    Maintainer: MAINTAINER,
    'Installed-Size': String(installedKib),
    'Pre-Depends': 'init-system-helpers (>= 1.54~)',
    Depends: depends.join(', '),
    Suggests: (await systemPackages('microvm')).filter((name) => !depends.includes(name)).join(', '),
    Section: 'admin',
    Priority: 'optional',
    Description: description.replace(/^An? /, ''),
  };
  await writeControl(work, fields);
  await normalize(work, epoch);
  for (const name of SCRIPTS) await chmod(join(work, 'DEBIAN', name), 0o755);
  const file = join(outDir, `islet_${debianVersion}_${fields.Architecture}.deb`);
  // One thread: with more the compressed bytes depend on how many the machine has.
  const build = ['--root-owner-group', '--threads-max=1', '--build', work, file];
  await run('dpkg-deb', build, { env: { SOURCE_DATE_EPOCH: String(epoch) } });
  return file;
}

async function layOutFiles(staged: string, work: string, epoch: number): Promise<void> {
  const put = async (path: string, content: string | Buffer) => {
    await mkdir(dirname(join(work, path)), { recursive: true });
    await writeFile(join(work, path), content);
  };
  await mkdir(dirname(join(work, HOME)), { recursive: true });
  await cp(staged, join(work, HOME), { recursive: true });
  await mkdir(join(work, DOC), { recursive: true });
  for (const name of ['README.md', 'docs'])
    await cp(join(work, HOME, name), join(work, DOC, name), { recursive: true });
  const copyright = await readFile(join(ROOT, 'packaging/debian/copyright'), 'utf8');
  await put(`${DOC}/copyright`, copyright);
  for (const name of ['README.md', 'docs', 'CHANGELOG.md', 'LICENSE', 'LICENSES.txt']) {
    if (name === 'LICENSES.txt') await cp(join(work, HOME, name), join(work, DOC, name));
    await rm(join(work, HOME, name), { recursive: true });
  }
  await put(`${DOC}/changelog.gz`, await zipped(await debianChangelog(epoch)));
  await put('usr/share/man/man8/islet.8.gz', await zipped(await manual(staged)));
  await put(`usr/lib/systemd/system/${UNIT}`, packagedUnit());
  await put(CONFIG_FILE.slice(1), configTemplate());
  await mkdir(join(work, 'usr/bin'), { recursive: true });
  await symlink('../lib/islet/islet', join(work, 'usr/bin/islet'));
  // The kernel of virtual machines is made on the machine: not among what dpkg keeps.
  await mkdir(join(work, 'var/cache/islet/microvm'), { recursive: true });
  await symlink('/var/cache/islet/microvm', join(work, HOME, 'dist/microvm'));
}

function packagedUnit(): string {
  return serviceUnit({ program: `/${HOME}/islet`, configFile: CONFIG_FILE });
}

async function writeControl(work: string, fields: Readonly<Record<string, string>>): Promise<void> {
  const control = join(work, 'DEBIAN');
  await mkdir(control);
  const put = (name: string, text: string) => writeFile(join(control, name), text);
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}`);
  await put(
    'control',
    `${lines.join('\n')}\n${await readFile(join(ROOT, 'packaging/debian/description'), 'utf8')}`,
  );
  await put('conffiles', `${CONFIG_FILE}\n`);
  await put('md5sums', await sums(work));
  for (const name of SCRIPTS) await cp(join(ROOT, 'packaging/debian', name), join(control, name));
}

/** The launcher's own list, and node, which the launcher wants to be there. @param engine as `>=20.19` */
async function dependsOf(engine: string): Promise<string[]> {
  const node = /^>=(\S+)$/.exec(engine)?.[1];
  if (!node) throw new Error(`package.json: engines.node is not of the form ">=20.19": ${engine}`);
  const names = (await systemPackages('base')).filter((name) => !ESSENTIAL.includes(name));
  return [`nodejs (>= ${node})`, 'libc6', 'libgcc-s1', 'libstdc++6', ...names];
}

async function systemPackages(group: 'base' | 'microvm'): Promise<string[]> {
  const text = await readFile(join(ROOT, 'packaging/system-packages'), 'utf8');
  const lines = text.split('\n').map((line) => line.split(/\s+/));
  return lines.flatMap(([of, name]) => (of === group && name ? [name] : []));
}

/** CHANGELOG.md as Debian writes changelogs; what is not released bears the version of package.json. */
async function debianChangelog(epoch: number): Promise<string> {
  const { version: current } = await manifest();
  const sections = parseChangelog(await readFile(join(ROOT, 'CHANGELOG.md'), 'utf8'));
  const shown = sections.filter((section) => changesOf(section).length > 0);
  return shown
    .map((section) => {
      const version = (section.date ? section.version : current).replace('-', '~');
      const date = section.date ? new Date(`${section.date}T12:00:00Z`) : new Date(epoch * 1000);
      const when = date.toUTCString().replace('GMT', '+0000');
      const changes = changesOf(section).map((change) => `  * ${wrapped(change)}`);
      return `islet (${version}) unstable; urgency=medium\n\n${changes.join('\n')}\n\n -- ${MAINTAINER}  ${when}\n`;
    })
    .join('\n');
}

function wrapped(text: string): string {
  return text.replaceAll(/(.{1,74})(?:\s+|$)/g, '$1\n    ').trim();
}

/** The command's own help, as a page of the manual. */
async function manual(staged: string): Promise<string> {
  const { version } = await manifest();
  const help = await run(process.execPath, [join(staged, 'dist/islet.mjs'), '--help'], {
    env: { NO_COLOR: '1' },
  });
  const text = help
    .trim()
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll(/^([.'])/gm, '\\&$1');
  return `.TH ISLET 8 "" "islet ${version}"
.SH NAME
islet \\- self\\-hosted sandbox cloud for AI agents
.SH SYNOPSIS
.B islet
.I command
.RI [ options ]
.SH DESCRIPTION
.nf
${text}
.fi
.SH FILES
.TP
.I ${CONFIG_FILE}
options of the service
.TP
.I /var/lib/islet
database, snapshots, secrets
.SH SEE ALSO
.I /usr/share/doc/islet/docs
`;
}

function zipped(text: string): Promise<Buffer> {
  return promisify(gzip)(text, { level: 9 });
}

async function filesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

async function sums(work: string): Promise<string> {
  const lines: string[] = [];
  for (const file of await filesBelow(work)) {
    const path = relative(work, file);
    if (path.startsWith('DEBIAN/') || path === CONFIG_FILE.slice(1)) continue;
    lines.push(
      `${createHash('md5')
        .update(await readFile(file))
        .digest('hex')}  ${path}\n`,
    );
  }
  return lines.join('');
}

async function kibibytesOf(work: string): Promise<number> {
  let sum = 0;
  for (const file of await filesBelow(work)) sum += Math.ceil((await stat(file)).size / 1024);
  return sum;
}
