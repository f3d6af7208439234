import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

interface LockedPackage {
  version: string;
  dev?: boolean;
  devOptional?: boolean;
  link?: boolean;
  license?: string;
}

/** The licences of all npm packages that Islet runs with; parts of them are in its bundle. @param root the checkout */
export async function licenses(root: string): Promise<string> {
  const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, LockedPackage>;
  };
  const texts: string[] = [];
  for (const [path, { version, license, dev, devOptional, link }] of Object.entries(lock.packages)) {
    if (!path.includes('node_modules/') || dev || devOptional || link) continue;
    // Those for other systems are not there.
    const names = await readdir(join(root, path)).catch(() => []);
    if (names.length === 0) continue;
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    const file = names.find((each) => /^(licen[cs]e|copying)/i.test(each));
    const text = file ? await readFile(join(root, path, file), 'utf8') : '';
    texts.push(`${name} ${version}: ${license ?? 'see below'}\n\n${text.trim()}\n`);
  }
  return `Islet holds parts of these packages.\n\n${texts.join(`\n${'-'.repeat(80)}\n\n`)}`;
}
