import { execFile } from 'node:child_process';
import {
  access,
  copyFile,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pushImage } from './image.ts';
import { startRegistry, type TestRegistry } from './registry.ts';
import { openSite, SITE_END_MS, SITE_START_MS, type Site } from './site.ts';
import { buildTemplate, runStep, step } from './template.ts';

const run = promisify(execFile);

const slow = { timeout: 900_000 };
const MIB = 1024 ** 2;
/** Kept from run to run: Debian's packages take a minute. */
const CACHE = '/var/cache/islet-tests';
const BIG_FILES = 4;
/** BusyBox's `wc` counts to 4 GiB. */
const BIG_FILE_MIB = 1000;
/** skopeo and umoci take about 100 MB each, whatever the image's size. */
const MOST_MEMORY = 400 * MIB;

/** The root file system that Debian's own tool makes, with apt, as a tar. */
async function debian(): Promise<string> {
  const file = join(CACHE, 'debian-trixie.tar');
  const there = await access(file).then(
    () => true,
    () => false,
  );
  if (there) return file;
  await mkdir(CACHE, { recursive: true });
  await run('mmdebstrap', ['--quiet', '--variant=apt', 'trixie', `${file}.part.tar`], { timeout: 600_000 });
  await rename(`${file}.part.tar`, file);
  return file;
}

/** The most memory that a program of this name, started by this process or one of its own, has held so far, bytes. */
class Peaks {
  readonly bytes = new Map<string, number>();
  readonly #timer = setInterval(() => void this.#look().catch(() => undefined), 100);

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
      const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
      const name = /^Name:\s*(.*)$/m.exec(status)?.[1] ?? '';
      if (name !== 'skopeo' && name !== 'umoci') continue;
      const peak = Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
      this.bytes.set(name, Math.max(this.bytes.get(name) ?? 0, peak));
    }
  }
}

// Minutes, Debian's mirror and some GiB of disk: `npm run test:images`.
describe.runIf(process.env.ISLET_WHOLE_IMAGES === '1')('a template on a whole image', () => {
  let site: Site;
  let registry: TestRegistry;
  beforeAll(async () => {
    registry = await startRegistry({ withPassword: false });
    site = await openSite();
  }, SITE_START_MS);
  afterAll(async () => {
    await registry?.[Symbol.asyncDispose]();
    await site?.[Symbol.asyncDispose]();
  }, SITE_END_MS);

  it('of Debian installs packages with its own apt', slow, async () => {
    const tar = await debian();
    const reference = await pushImage(registry, 'debian:trixie', { layers: [async () => tar] });
    const built = await buildTemplate(site, {
      image: { reference },
      freeDiskMb: 1024,
      steps: [
        runStep('apt-get update && apt-get install -y --no-install-recommends tree sudo', 'root'),
        runStep('tree --version && sudo -n true && test "$(id -un)" = user'),
      ],
    });
    expect(built.messages.at(-1), built.messages.join('\n')).toMatch(/^Build finished/);
  });

  it("of Ubuntu's kind has a user of its own with the first number", slow, async () => {
    const tar = await debian();
    const reference = await pushImage(registry, 'ubuntu:24.04', {
      layers: [
        async () => tar,
        async (root) => {
          await mkdir(join(root, 'etc'));
          await mkdir(join(root, 'home/ubuntu'), { recursive: true });
          await writeFile(join(root, 'etc/os-release'), 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n');
          const { stdout } = await run('tar', ['-xOf', tar, './etc/passwd', './etc/group']);
          const isGroup = (line: string) => line.split(':').length === 4;
          const lines = stdout.trimEnd().split('\n');
          const passwd = [
            ...lines.filter((line) => !isGroup(line)),
            'ubuntu:x:1000:1000::/home/ubuntu:/bin/bash',
          ];
          const group = [...lines.filter(isGroup), 'ubuntu:x:1000:'];
          await writeFile(join(root, 'etc/passwd'), `${passwd.join('\n')}\n`);
          await writeFile(join(root, 'etc/group'), `${group.join('\n')}\n`);
          return undefined;
        },
      ],
      config: { Env: ['LANG=C.UTF-8'], Cmd: ['/bin/bash'] },
    });
    const built = await buildTemplate(site, {
      image: { reference },
      steps: [
        runStep('test "$(id -un)" = user && test "$(id -u)" = 1001 && test -O ~ && test "$LANG" = C.UTF-8'),
        step('USER', ['ubuntu']),
        runStep(
          'test "$(id -u)" = 1000 && test "$PWD" = /home/ubuntu && . /etc/os-release && test $ID = ubuntu',
        ),
      ],
    });
    expect(built.messages.at(-1), built.messages.join('\n')).toMatch(/^Build finished/);
    expect(built.state).toMatchObject({ value: { defaultUser: 'ubuntu' } });
  });

  it("of Alpine's kind runs programs that are linked against its musl", slow, async () => {
    const reference = await pushImage(registry, 'musl:1', {
      layers: [
        async (root) => {
          for (const dir of ['bin', 'etc', 'lib', 'app']) await mkdir(join(root, dir));
          const source = join(root, 'app/server.c');
          await writeFile(source, MUSL_SERVER);
          await run('musl-gcc', ['-O1', '-pthread', '-o', join(root, 'app/server'), source]);
          const { stdout } = await run('readelf', ['--program-headers', join(root, 'app/server')]);
          const linker = /interpreter: (\/lib\/ld-musl-[\w-]+\.so\.1)/.exec(stdout)?.[1];
          if (linker === undefined) throw new Error(`the program is not linked against musl: ${stdout}`);
          await copyFile(linker, join(root, linker));
          await copyFile('/usr/bin/busybox', join(root, 'bin/busybox'));
          for (const name of ['sh', 'ls', 'cat']) await symlink('busybox', join(root, 'bin', name));
          await writeFile(join(root, 'etc/os-release'), 'ID=alpine\nVERSION_ID=3.22.0\n');
          await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
          return undefined;
        },
      ],
    });
    const built = await buildTemplate(site, {
      image: { reference },
      steps: [runStep('test "$(/app/server who)" = user')],
      startCommand: '/app/server',
      readyCommand: 'test "$(wget -qO- http://localhost:8080/)" = "musl serves user"',
    });
    expect(built.messages.at(-1), built.messages.join('\n')).toMatch(/^Build finished/);
  });

  it('of several GB is pulled and built on in bounded memory, and lies on the disk once', slow, async () => {
    const reference = await pushImage(registry, 'big:1', {
      layers: Array.from({ length: BIG_FILES }, (_, number) => async (root: string) => {
        // Compresses well, so that the registry is quick, and is no hole, so that every byte is written.
        const file = await open(join(root, `big-${number}`), 'w');
        const block = Buffer.alloc(MIB, `layer ${number} `);
        for (let i = 0; i < BIG_FILE_MIB; i++) await file.write(block);
        await file.close();
        return undefined;
      }),
    });
    const peaks = new Peaks();
    const before = process.memoryUsage().rss;
    let most = before;
    const timer = setInterval(() => {
      most = Math.max(most, process.memoryUsage().rss);
    }, 100);
    const startedAt = performance.now();
    const built = await buildTemplate(site, {
      image: { reference },
      steps: [runStep(`test "$(cat /big-* | wc -c)" = ${BIG_FILES * BIG_FILE_MIB * MIB} && touch ~/new`)],
    });
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    clearInterval(timer);
    peaks.stop();
    expect(built.messages.at(-1), built.messages.join('\n')).toMatch(/^Build finished/);
    const { stdout } = await run('du', ['-sxm', site.dir]);
    const diskMib = Number(stdout.split('\t')[0]);
    const own = most - before;
    const told = [...peaks.bytes].map(([name, bytes]) => `${name} ${Math.round(bytes / MIB)} MiB`);
    process.stdout.write(
      `${BIG_FILES * BIG_FILE_MIB} MiB: ${seconds} s, ${diskMib} MiB of disk, ${told.join(', ')}, Islet ${Math.round(own / MIB)} MiB more\n`,
    );
    expect([...peaks.bytes.keys()].sort()).toEqual(['skopeo', 'umoci']);
    for (const bytes of [...peaks.bytes.values(), own]) expect(bytes).toBeLessThan(MOST_MEMORY);
    // Once, and the other images and the base template beside it.
    expect(diskMib).toBeLessThan(1.5 * BIG_FILES * BIG_FILE_MIB);
  });
});

/** Looks up its user, starts a thread and serves HTTP: what of a C library differs most from glibc's. */
const MUSL_SERVER = `
#include <arpa/inet.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *user(void) {
  struct passwd *entry = getpwuid(getuid());
  return entry ? entry->pw_name : "nobody known";
}

static void *serve(void *unused) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8080)};
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16)) return unused;
  for (;;) {
    char text[256], request[1024];
    int client = accept(listener, NULL, NULL);
    read(client, request, sizeof request);
    int length = snprintf(text, sizeof text, "HTTP/1.0 200 OK\\r\\n\\r\\nmusl serves %s", user());
    write(client, text, length);
    close(client);
  }
}

int main(int count, char **words) {
  if (count > 1) return puts(user()) < 0;
  pthread_t thread;
  if (pthread_create(&thread, NULL, serve, NULL)) return 1;
  return pthread_join(thread, NULL);
}
`;
