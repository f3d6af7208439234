import { searchPath } from './host/search-path.ts';
import { runIslet } from './index.ts';

process.env.PATH = searchPath(process.env.PATH);
// Users of sandboxes have to read what is made here, whatever the umask of who started it. What is secret says so by its mode.
process.umask(0o022);
// What programs of the system answer is read, so they have to answer in English.
process.env.LC_ALL = 'C.UTF-8';
const words = process.argv.slice(2);
const rootless = process.env.ISLET_ROOTLESS === '1' ? await import('./rootless/enter.ts') : undefined;
if (await entered()) await runIslet(words);
await rootless?.leaveNamespace(process.env);

/** False if an ordinary user cannot go on, which is said. */
async function entered(): Promise<boolean> {
  try {
    await rootless?.enterNamespace(words, process.env);
    return true;
  } catch (error) {
    process.stderr.write(`islet: ${(error as Error).message}\n`);
    process.exitCode = 1;
    return false;
  }
}

/** What may still be under way then is for nobody, such as telemetry that its receiver does not take, ms. */
const LINGER_MS = 1_000;
setTimeout(() => process.exit(), LINGER_MS).unref();
