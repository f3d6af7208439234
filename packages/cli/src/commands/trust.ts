import { homedir } from 'node:os';
import { type Command, defineCommand } from '../command-line/command.ts';
import { JSON_FLAG } from '../command-line/flags.ts';
import { runHost } from '../doctor/run.ts';
import { OPTIONS } from '../options/options.ts';
import { requireOption } from '../options/spec.ts';
import { shellWord } from '../output/shell-word.ts';
import { instanceOf, type PublishedAuthority, readAuthority } from '../trust/authority.ts';
import { browserStores } from '../trust/browser-stores.ts';
import { TrustError, type TrustStore } from '../trust/store.ts';
import { systemStore } from '../trust/system-store.ts';
import type { CommandIo } from './io.ts';

/** What became of one list of authorities. */
interface Change {
  store: TrustStore['kind'];
  path: string;
  change: 'added' | 'removed' | 'nothing to remove';
}

/** `islet trust`. */
export function trustCommand(io: CommandIo): Command {
  return defineCommand(io, {
    summary: 'Have your browsers, or the whole system, trust https to this Islet’s sandboxes',
    flags: {
      system: {
        kind: 'switch',
        description: 'The system’s list, for every program that uses it (as root)',
      },
      print: { kind: 'switch', description: 'Change nothing; print the authority’s certificate, PEM' },
      remove: { kind: 'switch', description: 'Take the trust back: from your browsers, or with --system' },
      json: JSON_FLAG,
    },
    options: ['dataDir'],
    async run({ flags, sources }) {
      const dataDir = requireOption(OPTIONS.dataDir, sources);
      if (flags.print) {
        if (flags.system || flags.remove) throw new TrustError('--print changes nothing: give it alone');
        const authority = await readAuthority(dataDir);
        return io.print(flags.json ? JSON.stringify(authority) : authority.pem.trimEnd());
      }
      const stores = flags.system ? [systemStore(runHost)] : await browserStores(homeOf(io), runHost);
      if (flags.remove) {
        const changes = await removeFrom(stores, await instanceOf(dataDir));
        return io.print(flags.json ? JSON.stringify({ changes }) : linesOf(changes).join('\n'));
      }
      const authority = await readAuthority(dataDir);
      const changes = await addTo(stores, authority);
      io.print(flags.json ? JSON.stringify({ ...authority, changes }) : report(authority, changes));
    },
  });
}

async function addTo(stores: TrustStore[], authority: PublishedAuthority): Promise<Change[]> {
  const changes: Change[] = [];
  for (const store of stores) {
    await store.add(authority);
    changes.push({ store: store.kind, path: store.path, change: 'added' });
  }
  return changes;
}

async function removeFrom(stores: TrustStore[], instance: string): Promise<Change[]> {
  const changes: Change[] = [];
  for (const store of stores) {
    const removed = await store.remove(instance);
    changes.push({ store: store.kind, path: store.path, change: removed ? 'removed' : 'nothing to remove' });
  }
  return changes;
}

/** Browsers keep what they trust with their user. */
function homeOf(io: CommandIo): string {
  if (process.getuid?.() === 0 && (io.env.SUDO_USER || io.env.DOAS_USER)) {
    throw new TrustError(
      'browsers keep a list of their own for each user: run `islet trust` without sudo, or name the system’s list ' +
        'with --system',
    );
  }
  return io.env.HOME || homedir();
}

function linesOf(changes: Change[]): string[] {
  return changes.map(({ path, change }) => `${path}: ${change}`);
}

function report(authority: PublishedAuthority, changes: Change[]): string {
  return `${linesOf(changes).join('\n')}

Trusted: ${authority.name}, until ${authority.validTo.slice(0, 10)}, SHA-256 ${authority.fingerprint}
Programs that run already do not notice. Those with a list of their own:

  export SSL_CERT_FILE=${shellWord(authority.bundleFile)}
  export NODE_EXTRA_CA_CERTS=${shellWord(authority.authorityFile)}`;
}
